"""Finding an image: by its looks, by its words, in a folder or at a search service."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from domain.errors import InvalidInput, PeerRejected, PeerUnavailable
from domain.pictures import PictureFacts
from tests.tools.pictures.drawing import encoded, jpeg, landscape
from tests.tools.webhook.peer_server import running_peer, status
from tools.pictures.decoding import Limits
from tools.pictures.inspect import inspect
from tools.pictures.library import Found, ImageSearchClient, PictureLibrary

SCENE = landscape(800, 600, seed=4)
SENT = jpeg(SCENE.resize((320, 240)), quality=60)


def _facts(data: bytes) -> PictureFacts:
    return inspect(data, "0" * 64, Limits())


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Shelf:
    folder: Path
    clock: Clock = field(default_factory=Clock)

    def library(self) -> PictureLibrary:
        index = self.folder.parent / "data" / "library.json"
        return PictureLibrary(self.folder, index, rescan_seconds=60, clock=self.clock)

    def kept(self) -> dict[str, object]:
        text = (self.folder.parent / "data" / "library.json").read_text("utf-8")
        entries: dict[str, object] = json.loads(text)["entries"]
        return entries


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    folder = tmp_path / "pictures"
    (folder / "风景").mkdir(parents=True)
    (folder / "风景" / "山.png").write_bytes(encoded(SCENE))
    (folder / "small.jpg").write_bytes(jpeg(SCENE.resize((400, 300))))
    (folder / "other.jpg").write_bytes(jpeg(landscape(500, 400, seed=77).rotate(90)))
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "other.txt").write_text("沙漠、黄昏", "utf-8")
    (folder / "tags.csv").write_text("风景/山.png,雪山,蓝天\n", "utf-8")
    return Shelf(folder)


async def test_the_largest_original_of_what_was_sent_comes_first(shelf: Shelf) -> None:
    found = await shelf.library().find(_facts(SENT))
    assert [item.path for item in found] == ["风景/山.png", "small.jpg"]
    assert found[0].distance is not None
    assert found[0].distance <= 10
    assert (found[0].width, found[0].height) == (800, 600)
    assert found[0].tags == ("雪山", "蓝天")


@pytest.mark.parametrize(
    ("words", "paths"),
    [
        (["雪山"], ["风景/山.png"]),
        (["沙漠", "黄昏"], ["other.jpg"]),
        (["风景"], ["风景/山.png"]),
        (["雪山", "沙漠"], []),
        (["不存在"], []),
        ([""], []),
    ],
)
async def test_words_are_looked_for_in_tags_and_names(
    shelf: Shelf, words: list[str], paths: list[str]
) -> None:
    found = await shelf.library().find(None, words)
    assert [item.path for item in found] == paths


async def test_what_is_known_is_kept_and_only_changes_are_looked_at(shelf: Shelf) -> None:
    library = shelf.library()
    await library.find(_facts(SENT))
    assert set(shelf.kept()) == {"风景/山.png", "small.jpg", "other.jpg", "broken.png"}
    (shelf.folder / "风景" / "山.png").unlink()
    (shelf.folder / "new.png").write_bytes(encoded(SCENE.resize((1000, 750))))
    assert (await library.find(_facts(SENT)))[0].path == "风景/山.png", "not looked at again yet"
    shelf.clock.now = 61
    assert [item.path for item in await library.find(_facts(SENT))] == ["new.png", "small.jpg"]
    assert "风景/山.png" not in shelf.kept()


async def test_the_next_start_believes_the_kept_index(shelf: Shelf) -> None:
    await shelf.library().find(_facts(SENT))
    index = shelf.folder.parent / "data" / "library.json"
    index.write_text(index.read_text("utf-8").replace('"width": 800', '"width": 801'), "utf-8")
    found = await shelf.library().find(_facts(SENT))
    assert found[0].width == 801, "an unchanged file was opened again"


async def test_a_broken_index_is_made_anew(shelf: Shelf) -> None:
    index = shelf.folder.parent / "data" / "library.json"
    index.parent.mkdir()
    index.write_text('{"version": 1, "entries": {"a": {"x": 1}}}', "utf-8")
    assert await shelf.library().find(_facts(SENT))
    assert "small.jpg" in shelf.kept()


async def test_nothing_outside_the_folder_is_read(shelf: Shelf) -> None:
    (shelf.folder.parent / "secret.txt").write_text("secret", "utf-8")
    with pytest.raises(InvalidInput):
        await shelf.library().read(Found("../secret.txt", 0, (), 1, 1))


async def _nothing(url: str) -> bytes:
    raise AssertionError(url)


async def test_the_search_service_is_asked_as_documented(http: httpx.AsyncClient) -> None:
    rows = [{"url": "https://pictures.example/1.jpg", "distance": 3, "tags": ["山"], "width": 9,
             "height": 8}, {"url": "https://pictures.example/2.jpg"}]  # fmt: skip
    async with running_peer(status(200, json.dumps({"results": rows}))) as peer:
        client = ImageSearchClient(peer.url, "sk-search", http, _nothing)
        found = await client.find(_facts(SENT), ["雪山"], SENT)
    assert found[0] == Found("https://pictures.example/1.jpg", 3, ("山",), 9, 8)
    assert found[1].distance is None
    headers, body = peer.requests[0]
    asked = json.loads(body)
    assert headers["authorization"] == "Bearer sk-search"
    assert asked["phash"] == _facts(SENT).phash
    assert asked["words"] == ["雪山"]
    assert asked["image"]


@pytest.mark.parametrize(
    ("code", "body", "error"),
    [
        (503, "{}", PeerUnavailable),
        (429, "{}", PeerUnavailable),
        (400, "{}", PeerRejected),
        (200, "nonsense", PeerUnavailable),
        (200, '{"results": [1]}', PeerUnavailable),
    ],
)
async def test_a_search_service_that_fails_says_which_way(
    http: httpx.AsyncClient, code: int, body: str, error: type[Exception]
) -> None:
    async with running_peer(status(code, body)) as peer:
        with pytest.raises(error):
            await ImageSearchClient(peer.url, None, http, _nothing).find(_facts(SENT))
