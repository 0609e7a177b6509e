"""Orders through the workflow: delivered where the result is good, else a designer's."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from domain.orders import Workflow
from domain.pictures import PictureFacts
from graphs.order_work import run
from tests.sandbox_server import SandboxServer, sandbox_server, shared_sandbox
from tests.tools.pictures.drawing import encoded, jpeg, landscape
from tests.tools.pictures.making import PICTURES
from tools.pictures.decoding import Limits
from tools.pictures.inspect import inspect
from tools.pictures.library import Found, PictureLibrary
from tools.pictures.provider import ImagesClient
from tools.pictures.store import PictureStore
from tools.pictures.workflow import Outcome, WorkflowOrder, Workshop

__all__ = ["sandbox_server", "shared_sandbox"]

SCENE = encoded(landscape(400, 300, seed=4))
SENT = jpeg(landscape(400, 300, seed=4).resize((200, 150)))


async def _facts(store: PictureStore, data: bytes) -> PictureFacts:
    stored = await store.put(data)
    return await asyncio.to_thread(inspect, data, stored.sha256, Limits())


async def _process(store: PictureStore, shop: Workshop, data: bytes, *said: str) -> Outcome:
    facts = await _facts(store, data)
    return await run(WorkflowOrder(Workflow.PROCESS, "process", said, (facts,)), shop)


def _images(server: SandboxServer, http: httpx.AsyncClient, timeout: float = 10) -> ImagesClient:
    async def fetch(url: str) -> bytes:
        raise AssertionError(url)

    url = f"{server.url}/images/v1"
    return ImagesClient(url, "sk-test", "m", http, fetch, timeout=timeout)


class Finder:
    """A search service that claims too much."""

    def __init__(self, picture: bytes) -> None:
        self._picture = picture

    async def find(
        self, facts: PictureFacts | None, words: Sequence[str] = (), picture: bytes | None = None
    ) -> list[Found]:
        return [Found("https://pictures.example/1.jpg", 0, (), 4_000, 3_000)]

    async def read(self, found: Found) -> bytes:
        return self._picture


async def test_the_offline_plan_is_done_and_said(store: PictureStore) -> None:
    outcome = await _process(store, Workshop(store.read), SCENE, "放大2倍", "转成jpg")
    assert outcome.kind == "delivered"
    assert inspect(outcome.pictures[0], "0" * 64, Limits()).width == 800
    assert "已放大 2 倍" in outcome.said[0]
    assert [step["by"] for step in outcome.tried] == ["本地处理"]


@pytest.mark.parametrize(
    ("picture", "said", "reason"),
    [
        ("photo_landscape", "去掉路人", "设计师动手"),
        ("photo_landscape", "去掉背景", "四周"),
        ("photo_product", "去掉白色背景", "没有去掉"),
        ("photo_blurred", "变清晰", "设计师动手"),
    ],
)
async def test_what_cannot_be_done_well_goes_to_a_designer(
    store: PictureStore, picture: str, said: str, reason: str
) -> None:
    outcome = await _process(store, Workshop(store.read), PICTURES[picture](), said)
    assert outcome.kind == "designer"
    assert reason in outcome.reason
    assert not outcome.pictures


async def test_the_provider_does_what_no_plan_can(
    store: PictureStore, sandbox_server: SandboxServer, http: httpx.AsyncClient
) -> None:
    shop = Workshop(store.read, images=_images(sandbox_server, http))
    outcome = await _process(store, shop, SCENE, "去掉路人", "转成jpg")
    assert outcome.kind == "delivered"
    assert outcome.pictures[0].startswith(b"\xff\xd8"), "the format is ours to give"
    assert outcome.tried[0] == {"by": "图片模型", "result": "done", "reason": ""}


async def test_exact_work_is_not_given_to_a_model(
    store: PictureStore, sandbox_server: SandboxServer, http: httpx.AsyncClient
) -> None:
    shop = Workshop(store.read, images=_images(sandbox_server, http))
    assert (await _process(store, shop, SCENE, "转成webp")).kind == "delivered"
    assert not sandbox_server.journal("images")


@pytest.mark.parametrize("marker", ["[沙箱:空白]", "[沙箱:原样]", "[沙箱:尺寸]", "[沙箱:违规]"])
async def test_a_bad_result_of_the_provider_goes_to_a_designer(
    store: PictureStore, sandbox_server: SandboxServer, http: httpx.AsyncClient, marker: str
) -> None:
    shop = Workshop(store.read, images=_images(sandbox_server, http))
    outcome = await _process(store, shop, SCENE, f"去掉路人 {marker}")
    assert outcome.kind == "designer"
    assert outcome.tried[0]["by"] == "图片模型"
    assert outcome.tried[0]["reason"]


@pytest.mark.parametrize("kind", ["garbage", "refuse", "hang", "empty"])
async def test_the_offline_plan_follows_a_provider_that_fails(
    store: PictureStore, sandbox_server: SandboxServer, http: httpx.AsyncClient, kind: str
) -> None:
    sandbox_server.fault("images", kind)
    shop = Workshop(store.read, images=_images(sandbox_server, http, timeout=0.5))
    outcome = await _process(store, shop, SCENE, "放大2倍")
    assert outcome.kind == "delivered"
    assert [step["by"] for step in outcome.tried] == ["图片模型", "本地处理"]


async def test_the_time_limit_ends_an_order_with_what_was_tried(
    store: PictureStore, sandbox_server: SandboxServer, http: httpx.AsyncClient
) -> None:
    sandbox_server.fault("images", "hang")
    shop = Workshop(store.read, images=_images(sandbox_server, http), timeout=0.3)
    outcome = await _process(store, shop, SCENE, "去掉路人")
    assert outcome.kind == "designer"
    assert "没有做完" in outcome.reason


async def test_the_library_s_larger_original_is_delivered(
    store: PictureStore, tmp_path: Path
) -> None:
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "山.png").write_bytes(SCENE)
    library = PictureLibrary(folder, tmp_path / "index.json")
    order = WorkflowOrder(Workflow.FIND, "find_image", (), (await _facts(store, SENT),))
    outcome = await run(order, Workshop(store.read, library=library))
    assert outcome.kind == "delivered"
    assert outcome.pictures == (SCENE,)


@pytest.mark.parametrize("made", [SENT, encoded(landscape(500, 400, seed=77).rotate(90)), b"x"])
async def test_a_search_service_s_claims_are_not_believed(store: PictureStore, made: bytes) -> None:
    order = WorkflowOrder(Workflow.FIND, "find_image", (), (await _facts(store, SENT),))
    outcome = await run(order, Workshop(store.read, search=Finder(made)))
    assert outcome.kind == "designer"
    assert outcome.tried[0]["by"] == "找图服务"


async def test_whatever_breaks_is_an_outcome() -> None:
    async def broken(sha256: str) -> bytes:
        raise RuntimeError(sha256)

    facts = PictureFacts("a" * 64, 1, "PNG", 10, 10)
    outcome = await run(
        WorkflowOrder(Workflow.PROCESS, "process", ("转成png",), (facts,)), Workshop(broken)
    )
    assert outcome.kind == "designer"
    assert "RuntimeError" in outcome.reason
