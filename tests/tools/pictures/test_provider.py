"""The images client against the sandbox's images API, over a real socket."""

import io
import logging

import httpx
import pytest
from PIL import Image

from domain.errors import ConfigurationError, PeerRejected, PeerUnavailable
from tests.sandbox_server import SandboxServer, sandbox_server, shared_sandbox
from tests.tools.pictures.drawing import encoded, landscape
from tools.pictures.provider import Asked, ImagesClient, first_picture

__all__ = ["sandbox_server", "shared_sandbox"]

KEY = "sk-images-for-tests"
PICTURE = encoded(landscape(300, 200))


@pytest.fixture
def client(sandbox_server: SandboxServer, http: httpx.AsyncClient) -> ImagesClient:
    async def fetch(url: str) -> bytes:
        return (await http.get(url)).raise_for_status().content

    url = f"{sandbox_server.url}/images/v1"
    return ImagesClient(url, KEY, "image-model", http, fetch, timeout=10)


async def test_an_edit_sends_picture_and_prompt_and_returns_the_result(
    client: ImagesClient, sandbox_server: SandboxServer
) -> None:
    made = await client.edit(PICTURE, Asked("变清晰"))
    assert Image.open(io.BytesIO(made)).size == (600, 400)
    (entry,) = sandbox_server.journal("images", kind="edits")
    assert entry["accepted"]
    assert entry["headers"]["content-type"].startswith("multipart/form-data")
    assert KEY not in str(entry)


async def test_the_same_edit_gives_the_same_picture(client: ImagesClient) -> None:
    assert await client.edit(PICTURE, Asked("x")) == await client.edit(PICTURE, Asked("x"))


async def test_an_address_in_the_answer_is_fetched(client: ImagesClient) -> None:
    direct = await client.edit(PICTURE, Asked("变清晰"))
    assert await client.edit(PICTURE, Asked("变清晰 [沙箱:网址]")) == direct


async def test_a_picture_is_generated_in_the_size_asked_for(client: ImagesClient) -> None:
    made = await client.generate(Asked("一只猫", size="256x128"))
    assert Image.open(io.BytesIO(made)).size == (256, 128)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_may_pass_is_unavailable(
    client: ImagesClient, sandbox_server: SandboxServer, status: int
) -> None:
    sandbox_server.fault("images", "status", status=status, headers={"Retry-After": "7"})
    with pytest.raises(PeerUnavailable) as caught:
        await client.edit(PICTURE, Asked("变清晰"))
    assert caught.value.retry_after == 7


async def test_moderation_is_a_rejection_with_its_code(client: ImagesClient) -> None:
    with pytest.raises(PeerRejected, match="moderation_blocked"):
        await client.edit(PICTURE, Asked("[沙箱:违规]"))


async def test_what_is_no_picture_is_not_sent(
    client: ImagesClient, sandbox_server: SandboxServer
) -> None:
    with pytest.raises(PeerRejected):
        await client.edit(b"GIF89a", Asked("x"))
    assert not sandbox_server.journal("images")


@pytest.mark.parametrize("kind", ["garbage", "empty", "cut_stream", "refuse", "lost_answer"])
async def test_unreadable_answers_are_unavailable(
    client: ImagesClient, sandbox_server: SandboxServer, kind: str
) -> None:
    sandbox_server.fault("images", kind)
    with pytest.raises(PeerUnavailable):
        await client.edit(PICTURE, Asked("变清晰"))


async def test_a_provider_that_hangs_ends_with_the_time_out(
    sandbox_server: SandboxServer, http: httpx.AsyncClient
) -> None:
    async def fetch(url: str) -> bytes:
        raise AssertionError(url)

    sandbox_server.fault("images", "hang")
    slow = ImagesClient(f"{sandbox_server.url}/images/v1", KEY, "m", http, fetch, timeout=0.3)
    with pytest.raises(PeerUnavailable, match="in time"):
        await slow.edit(PICTURE, Asked("变清晰"))


async def test_a_key_that_the_peer_repeats_is_in_no_error_and_no_log(
    client: ImagesClient, sandbox_server: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sandbox_server.fault("images", "status", status=401, body={"error": {"message": f"bad {KEY}"}})
    with pytest.raises(PeerRejected) as caught:
        await client.edit(PICTURE, Asked("变清晰"))
    assert KEY not in str(caught.value)
    assert "***" in str(caught.value)
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    "answer",
    [b"", b"[]", b'{"data":[]}', b'{"data":[{}]}', b'{"data":[{"b64_json":"\xc3\xa9"}]}', b"[" * 9],
)
def test_an_answer_without_a_picture_is_unavailable(answer: bytes) -> None:
    with pytest.raises(PeerUnavailable):
        first_picture(answer)


def test_a_key_no_header_can_carry_is_a_configuration_error(http: httpx.AsyncClient) -> None:
    async def fetch(url: str) -> bytes:
        return b""

    with pytest.raises(ConfigurationError) as caught:
        ImagesClient("http://x", "two\nlines", "m", http, fetch)
    assert "two" not in str(caught.value)
