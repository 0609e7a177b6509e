"""docs/sandbox-wecom.md says what works."""

import re
from pathlib import Path

import pytest

from sandbox.wecom import callbacks
from tests.sandbox_server import SandboxServer

GUIDE = (Path(__file__).parents[2] / "docs" / "sandbox-wecom.md").read_text("utf-8")
CALL = re.compile(r"^(GET|PUT|POST) (\S+) ?(.*)$", re.MULTILINE)


def test_every_call_of_the_guide_can_be_made(sandbox_server: SandboxServer) -> None:
    calls = CALL.findall(GUIDE)
    assert len(calls) > 20
    sandbox_server.put("/_sandbox/wecom/callback", {"urls": []})
    headers = {"content-type": "application/json"}
    for method, path, body in calls:
        url = f"{sandbox_server.url}/_sandbox/wecom/{path}"
        answer = sandbox_server.client.request(
            method, url, content=body.encode() or None, headers=headers
        )
        assert answer.is_success, f"{method} {path} {body}: {answer.status_code} {answer.text}"


@pytest.mark.parametrize(
    "value", [callbacks.CORP_ID, callbacks.TOKEN, callbacks.ENCODING_AES_KEY, callbacks.PATH]
)
def test_the_guide_names_what_the_sandbox_uses(value: str) -> None:
    assert f"`{value}`" in GUIDE
