"""The page a person sees first."""

from collections.abc import Iterable
from html import escape

from sandbox.peer import Peer, Sandbox

_PAGE = """<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>Kefu Graph 沙箱</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:16px/1.6 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem}}
code{{background:#f2f2f2;padding:0 .3em}}h2{{margin-top:1.6em}}</style></head><body>
<h1>Kefu Graph 沙箱</h1>
<p>这里模拟外部平台,没有账号也能体验整套系统。模拟客户的消息会发往 <code>{target}</code>。</p>
<p><a href="/_sandbox/health">运行状况</a> · <a href="/_sandbox/journal">请求日志</a> ·
<a href="/_sandbox/faults">故障注入</a> · <a href="/docs">接口文档</a></p>
{peers}
</body></html>
"""
_PEER = "<h2>{title} <code>/{name}</code></h2><p>{summary}</p><ul>{links}</ul>\n"
_LINK = '<li><a href="{path}">{label}</a></li>'


def page(sandbox: Sandbox, peers: Iterable[Peer]) -> str:
    shown = "".join(_peer(peer) for peer in peers)
    return _PAGE.format(target=escape(sandbox.target), peers=shown)


def _peer(peer: Peer) -> str:
    links = "".join(
        _LINK.format(path=escape(path), label=escape(label)) for label, path in peer.links
    )
    return _PEER.format(
        title=escape(peer.title), name=escape(peer.name), summary=escape(peer.summary), links=links
    )
