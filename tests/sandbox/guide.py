"""A guide to a simulated peer, whose calls are made as they stand there."""

import re
from pathlib import Path

from tests.sandbox_server import SandboxServer

CALL = re.compile(r"^(GET|PUT|POST) (\S+) ?(.*)$", re.MULTILINE)


def guide_to(peer: str) -> str:
    return (Path(__file__).parents[2] / "docs" / f"sandbox-{peer}.md").read_text("utf-8")


def make_every_call(sandbox: SandboxServer, peer: str) -> None:
    """With callbacks to nobody."""
    calls = CALL.findall(guide_to(peer))
    assert len(calls) > 20
    sandbox.put(f"/_sandbox/{peer}/callback", {"urls": []})
    headers = {"content-type": "application/json"}
    for method, path, body in calls:
        url = f"{sandbox.url}/_sandbox/{peer}/{path}"
        answer = sandbox.client.request(method, url, content=body.encode() or None, headers=headers)
        assert answer.is_success, f"{method} {path} {body}: {answer.status_code} {answer.text}"
