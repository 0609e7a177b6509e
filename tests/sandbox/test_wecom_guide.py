"""docs/sandbox-wecom.md says what works."""

import pytest

from sandbox.wecom import callbacks
from tests.sandbox.guide import guide_to, make_every_call
from tests.sandbox_server import SandboxServer


def test_every_call_of_the_guide_can_be_made(sandbox_server: SandboxServer) -> None:
    make_every_call(sandbox_server, "wecom")


@pytest.mark.parametrize(
    "value", [callbacks.CORP_ID, callbacks.TOKEN, callbacks.ENCODING_AES_KEY, callbacks.PATH]
)
def test_the_guide_names_what_the_sandbox_uses(value: str) -> None:
    assert f"`{value}`" in guide_to("wecom")
