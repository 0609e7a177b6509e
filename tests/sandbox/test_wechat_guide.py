"""docs/sandbox-wechat.md says what works."""

import re
from pathlib import Path

import pytest

from sandbox.wechat import callbacks
from tests.sandbox_server import SandboxServer

GUIDE = (Path(__file__).parents[2] / "docs" / "sandbox-wechat.md").read_text("utf-8")
CALL = re.compile(r"^(GET|PUT|POST) (\S+) ?(.*)$", re.MULTILINE)


def test_every_call_of_the_guide_can_be_made(sandbox_server: SandboxServer) -> None:
    calls = CALL.findall(GUIDE)
    assert len(calls) > 20
    sandbox_server.put("/_sandbox/wechat/callback", {"urls": []})
    headers = {"content-type": "application/json"}
    for method, path, body in calls:
        url = f"{sandbox_server.url}/_sandbox/wechat/{path}"
        answer = sandbox_server.client.request(
            method, url, content=body.encode() or None, headers=headers
        )
        assert answer.is_success, f"{method} {path} {body}: {answer.status_code} {answer.text}"


@pytest.mark.parametrize(
    "value", [callbacks.APP_ID, callbacks.TOKEN, callbacks.ENCODING_AES_KEY, callbacks.PATH]
)
def test_the_guide_names_who_the_account_is(value: str) -> None:
    assert f"`{value}`" in GUIDE
