"""`kefu doctor` on WeCom and the official account: what is set, and what the platforms say."""

import asyncio
import re
from collections.abc import Awaitable, Iterator
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import httpx

from api.cli.findings import Finding, State
from domain.errors import ConfigurationError, PeerError, PeerRejected

if TYPE_CHECKING:
    from pydantic import SecretStr

    from engine.settings import Settings
    from tools.wecom.kf import KfClient
    from tools.wx.api import WxApi

T = TypeVar("T")
CALL_S = 5.0
"""For one call of a platform; nobody waits at a terminal for longer."""
_SHOWN_ADDRESSES, _SHOWN_ACCOUNTS = 5, 20
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - what to listen on, nobody's address
_APP_ID = re.compile(r"wx[0-9a-f]{16}")
_APP_SECRET = re.compile(r"[0-9a-f]{32}")
_CORP_ID = re.compile(r"(ww|wx)[0-9a-zA-Z]{8,30}")
_TOKEN = re.compile(r"[0-9A-Za-z]{3,32}")
_WEB_PORTS = (None, 80, 443)
_MODES = {"plain": "明文", "compatible": "兼容", "safe": "安全"}
_WECOM, _WECHAT = "wecom", "wechat"


# WeCom


def check_wecom(settings: "Settings") -> Iterator[Finding]:
    """Whether its settings are whole, and which address its admin pages have to call."""
    from engine.wecom.build import callback_keys

    corp_id, secret = settings.wecom_corp_id, settings.wecom_agent_secret
    if not corp_id and secret is None:
        return
    if not corp_id or secret is None:
        missing = "WECOM_AGENT_SECRET" if corp_id else "WECOM_CORP_ID"
        yield Finding(_WECOM, State.NOTE, f"未设置 {missing},企业微信没有启用", f"设置 {missing}")
        return
    yield from _check_agent(settings)
    if not (settings.sandbox_url or _CORP_ID.fullmatch(corp_id)):
        detail = "WECOM_CORP_ID 不像企业 ID(ww 或 wx 开头)"
        yield Finding(_WECOM, State.NOTE, detail, "在管理后台「我的企业」页底部查看企业 ID")
    try:
        keys = callback_keys(settings)
    except ConfigurationError as error:
        yield Finding(_WECOM, State.FAULT, str(error), "按管理后台「接收消息」页的值改正")
        return
    yield from _check_token(_WECOM, "WECOM_TOKEN", settings.wecom_token)
    served = "、".join(settings.wecom_kf_accounts) or "应用可管理的全部"
    if keys is None:
        detail = f"微信客服账号:{served};未设置 WECOM_TOKEN,收不到回调,新消息每分钟查一次"
        yield Finding(_WECOM, State.NOTE, detail, "设置 WECOM_TOKEN 与 WECOM_AES_KEY")
        return
    address = f"{settings.address()}/wecom/callback"
    yield Finding(_WECOM, State.OK, f"微信客服账号:{served};回调地址填 {address}")
    yield from _check_address(settings, _WECOM, "企业微信")


def _check_agent(settings: "Settings") -> Iterator[Finding]:
    """The application is needed to write to members, and to read what they write."""
    from engine.wecom.build import agent_id

    if not (settings.wecom_staff or settings.wecom_app_messages):
        return
    part = "wecom/app"
    try:
        number = agent_id(settings)
    except ConfigurationError as error:
        yield Finding(part, State.FAULT, str(error), "按应用详情页的 AgentId 设置 WECOM_AGENT_ID")
        return
    uses = ["通知员工"] if settings.wecom_staff else []
    uses += ["回答成员"] if settings.wecom_app_messages else []
    if settings.wecom_app_messages and settings.wecom_token is None:
        detail = "WECOM_APP_MESSAGES 已打开,但未设置 WECOM_TOKEN,收不到成员的消息"
        yield Finding(part, State.FAULT, detail, "设置 WECOM_TOKEN 与 WECOM_AES_KEY")
        return
    yield Finding(part, State.OK, f"应用 {number} 用于{'、'.join(uses)}")


def check_wecom_online(
    settings: "Settings", *, online: bool, call_s: float = CALL_S
) -> Iterator[Finding]:
    """Nothing is changed there: every process gets the same token."""
    if online and settings.wecom_corp_id and settings.wecom_agent_secret is not None:
        yield from asyncio.run(_ask_wecom(settings, call_s))


async def _ask_wecom(settings: "Settings", call_s: float) -> list[Finding]:
    from engine.wecom.build import direct_api, direct_tokens

    part, remedy = "wecom/token", "核对 WECOM_CORP_ID、WECOM_AGENT_SECRET 与可信IP"
    async with httpx.AsyncClient() as http:
        tokens = direct_tokens(settings, http, timeout_s=call_s)
        try:
            await tokens.token()
        except PeerError as error:
            return [_fault(error, part, remedy)]
        api = direct_api(settings, http, tokens, timeout_s=call_s)
        asked = (_ask_agent(settings, api), _ask_accounts(settings, api), _ask_ips(settings, api))
        found = await asyncio.gather(*asked)
    good = Finding(part, State.OK, "企业 ID 与应用 Secret 有效")
    return [good, *(finding for part in found for finding in part)]


async def _ask_agent(settings: "Settings", api: "WxApi") -> list[Finding]:
    from engine.wecom.build import agent_id
    from tools.wecom.app import AppClient

    part = "wecom/agent"
    try:
        number = agent_id(settings)
    except ConfigurationError:
        return []  # `check_wecom` tells where it is needed.
    found, fault = await _asked(AppClient(api, number).about(), part, "核对 WECOM_AGENT_ID")
    if found is None:
        return [fault]
    if found.is_closed:
        detail = f"应用 {number}「{found.name}」已停用"
        return [Finding(part, State.FAULT, detail, "在管理后台启用该应用")]
    entering = "会" if found.tells_of_entering else "不会"
    return [Finding(part, State.OK, f"应用 {number}「{found.name}」,{entering}上报成员进入应用")]


async def _ask_accounts(settings: "Settings", api: "WxApi") -> list[Finding]:
    from tools.wecom.kf import KfClient as Client

    part, remedy = "wecom/kf", "在「微信客服 → API」里把账号授权给本应用"
    client = Client(api)
    found, fault = await _asked(client.accounts(), part, remedy)
    if found is None:
        return [fault]
    known = {one.open_kfid: one.name for one in found}
    missing = [one for one in settings.wecom_kf_accounts if one not in known]
    if missing:
        detail = f"WECOM_KF_ACCOUNTS 里的 {'、'.join(missing)} 不在应用可管理的账号中"
        return [Finding(part, State.FAULT, detail, remedy)]
    if not known:
        return [Finding(part, State.NOTE, "应用没有可管理的微信客服账号", remedy)]
    shown = _some([f"{name}({open_kfid})" for open_kfid, name in known.items()])
    served = settings.wecom_kf_accounts or tuple(known)
    people = await asyncio.gather(
        *(_ask_servicers(settings, client, one) for one in served[:_SHOWN_ACCOUNTS])
    )
    good = Finding(part, State.OK, f"微信客服账号:{shown}")
    return [good, *(finding for one in people for finding in one)]


async def _ask_servicers(settings: "Settings", client: "KfClient", open_kfid: str) -> list[Finding]:
    """Who answers customers that are handed over; departments are not listed by their people."""
    if settings.wecom_kf_hand_over == "desk":
        return []
    part, remedy = "wecom/servicers", f"在「微信客服」里给账号 {open_kfid} 添加接待人员"
    found, fault = await _asked(client.servicers(open_kfid), part, remedy)
    if found is None:
        return [fault]
    named = {one.userid.lower() for one in found}
    missing = [one for one in settings.wecom_kf_servicers if one.lower() not in named]
    if missing:
        detail = f"WECOM_KF_SERVICERS 里的 {'、'.join(missing)} 不是账号 {open_kfid} 的接待人员"
        return [Finding(part, State.FAULT, detail, remedy)]
    receiving = [one.userid for one in found if one.is_receiving]
    if not receiving:
        detail = f"账号 {open_kfid} 没有正在接待的成员(按部门设置的不列出),转人工的客户会一直等待"
        return [Finding(part, State.NOTE, detail, f"{remedy},或改 WECOM_KF_HAND_OVER=desk")]
    return [Finding(part, State.OK, f"账号 {open_kfid} 正在接待:{_some(receiving)}")]


async def _ask_ips(settings: "Settings", api: "WxApi") -> list[Finding]:
    """From where callbacks come: a list that is not always whole, so that the signature is the
    authority."""
    from tools.wecom.app import callback_addresses
    from tools.wx.addresses import covers, readable

    part = "wecom/addresses"
    found, fault = await _asked(callback_addresses(api), part, "稍后再试")
    if found is None:
        return [fault]
    allowed = readable(settings.wecom_callback_ips)
    missed = [one for one in readable(found) if allowed and not covers(allowed, one)]
    if missed:
        detail = f"WECOM_CALLBACK_IPS 没有包括 {_some([str(one) for one in missed])},其回调会被拒绝"
        return [Finding(part, State.FAULT, detail, "补充 WECOM_CALLBACK_IPS,或留空以签名为准")]
    shown = f"回调来自 {_some(found)}(名单可能不全,以签名为准)"
    return [Finding(part, State.OK, shown)]


def _some(entries: "list[str] | tuple[str, ...]") -> str:
    shown = "、".join(entries[:_SHOWN_ADDRESSES]) or "名单为空"
    return shown + (f" 等 {len(entries)} 个" if len(entries) > _SHOWN_ADDRESSES else "")


# Official account


def check_wechat(settings: "Settings") -> Iterator[Finding]:
    """Whether its settings are whole and look like what the platform gives out, and which address
    has to be entered there. Secrets are judged by their shape and never shown."""
    given = (settings.wechat_token, settings.appsecret, settings.wechat_aes_key)
    if not settings.appid:
        if any(one is not None for one in given):
            detail = "未设置 APPID,公众号没有启用"
            yield Finding(_WECHAT, State.NOTE, detail, "设置 APPID(公众平台「基本配置」页)")
        return
    if not settings.sandbox_url:
        yield from _check_account(settings)
    yield from _check_wechat_callback(settings)


def _check_account(settings: "Settings") -> Iterator[Finding]:
    if not _APP_ID.fullmatch(settings.appid):
        detail = "APPID 不像开发者 ID(wx 加 16 位);gh_ 开头的是原始 ID"
        yield Finding(_WECHAT, State.NOTE, detail, "在公众平台「基本配置」页查看 AppID")
    secret = settings.appsecret
    if secret is None:
        detail = "未设置 APPSECRET:只能在微信的响应里回复,15 秒内没有答完的要等客户再次来信"
        yield Finding(_WECHAT, State.NOTE, detail, "认证的账号请设置 APPSECRET")
    elif not _APP_SECRET.fullmatch(secret.get_secret_value()):
        detail = "APPSECRET 不像 AppSecret(32 位小写十六进制),可能没有复制完整"
        yield Finding(_WECHAT, State.NOTE, detail, "在公众平台重置并完整复制 AppSecret")


def _check_wechat_callback(settings: "Settings") -> Iterator[Finding]:
    token = settings.wechat_token
    if token is None:
        detail = "未设置 WECHAT_TOKEN,不接收公众号的消息"
        yield Finding(_WECHAT, State.NOTE, detail, "设置 WECHAT_TOKEN,与公众平台「服务器配置」一致")
        return
    yield from _check_token(_WECHAT, "WECHAT_TOKEN", token)
    try:
        _check_keys(settings)
    except ConfigurationError as error:
        yield Finding(_WECHAT, State.FAULT, str(error), "按公众平台「服务器配置」页的值改正")
        return
    mode = settings.wechat_callbacks()
    detail = f"{_MODES[mode]}模式;服务器地址(URL)填 {settings.address()}/api/wechat"
    if mode == "plain":
        remedy = "明文的消息体没有签名:建议改用安全模式,并设置 WECHAT_AES_KEY"
        yield Finding(_WECHAT, State.NOTE, detail, remedy)
    else:
        yield Finding(_WECHAT, State.OK, detail)
    yield from _check_address(settings, _WECHAT, "微信")
    port = urlsplit(settings.address()).port
    if settings.public_url and port not in _WEB_PORTS and not settings.sandbox_url:
        detail = f"微信只访问 80 和 443 端口,而 KEFU_PUBLIC_URL 的端口是 {port}"
        yield Finding(_WECHAT, State.FAULT, detail, "用反向代理把 80 或 443 端口转到本服务")


def _check_keys(settings: "Settings") -> None:
    """Raises ConfigurationError."""
    from engine.wechat.build import account_keys

    assert settings.wechat_token is not None
    account_keys(settings, settings.wechat_token.get_secret_value())


def check_wechat_online(
    settings: "Settings", *, online: bool, call_s: float = CALL_S
) -> Iterator[Finding]:
    """By the call that leaves tokens of running services as they are."""
    if online and settings.appid and settings.appsecret is not None:
        yield asyncio.run(_ask_wechat(settings, call_s))


async def _ask_wechat(settings: "Settings", call_s: float) -> Finding:
    from tools.wechat.errors import PEER, WECHAT_ERRORS
    from tools.wechat.tokens import AccountTokens
    from tools.wx.api import WxCalls

    assert settings.appsecret is not None
    secret, part = settings.appsecret.get_secret_value(), "wechat/token"
    async with httpx.AsyncClient() as http:
        calls = WxCalls(
            http, settings.wechat_api_base, peer=PEER, errors=WECHAT_ERRORS, timeout=call_s
        )
        try:
            await AccountTokens(calls, settings.appid, secret).fetch(None)
        except PeerError as error:
            return _fault(error, part, "核对 APPID、APPSECRET 与 IP 白名单")
    return Finding(part, State.OK, "AppID 与 AppSecret 有效")


# Both


def _check_token(part: str, variable: str, token: "SecretStr | None") -> Iterator[Finding]:
    if token is not None and not _TOKEN.fullmatch(token.get_secret_value()):
        detail = f"{variable} 不是 3 到 32 位字母或数字,平台的管理页面不接受这样的 Token"
        yield Finding(part, State.NOTE, detail, f"换一个,并与管理页面里的一致:{variable}")


def _check_address(settings: "Settings", part: str, peer: str) -> Iterator[Finding]:
    from engine.settings import is_loopback

    host = urlsplit(settings.address()).hostname or ""
    if not settings.sandbox_url and (is_loopback(host) or host in _EVERYWHERE):
        detail = f"{peer}的服务器打不开 {settings.address()},回调到不了"
        yield Finding(part, State.NOTE, detail, "把 KEFU_PUBLIC_URL 设为对外的 https 地址")


async def _asked(answer: Awaitable[T], part: str, remedy: str) -> tuple[T | None, Finding]:
    """What was answered, or the finding that says why there is nothing."""
    try:
        return await answer, Finding(part, State.OK, "")
    except PeerError as error:
        return None, _fault(error, part, remedy)


def _fault(error: PeerError, part: str, remedy: str) -> Finding:
    """What the platform refuses says in its reason what that means."""
    if isinstance(error, PeerRejected) or hasattr(error, "errcode"):
        return Finding(part, State.FAULT, str(error), remedy)
    return Finding(part, State.FAULT, f"没有问到 {error}", "检查网络、代理与接口地址,再试一次")
