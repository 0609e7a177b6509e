"""Getting pictures from addresses that customers write, and from nowhere behind our wall."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import httpx
import pytest

from domain.errors import PeerUnavailable
from tests.tools.pictures.making import PICTURES
from tests.tools.pictures.web import Web, running_web
from tools.pictures.addresses import is_public
from tools.pictures.fetch import PictureFetcher
from tools.pictures.store import PictureRefused, PictureStore


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    async with running_web() as web:
        web.put("/logo.png", PICTURES["logo_flat"]())
        yield web


class Names:
    """A resolver whose names mean what the test says; each time the next of its answers."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self.answers = {name.replace("_", "."): [*given] for name, given in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        given = self.answers.get(host)
        if given is None:
            raise OSError("no such host")
        return given.pop(0) if len(given) > 1 else given[0]


class Connections(httpx.AsyncBaseTransport):
    """Sends every request to the test's own server, and records where it would have gone."""

    def __init__(self, port: int) -> None:
        self._inner, self._port = httpx.AsyncHTTPTransport(trust_env=False), port
        self.hosts: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.hosts.append(request.url.host)
        request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self._port)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a.png",
        "http://127.0.0.1:8080/a.png",
        "http://127.1/a.png",
        "http://127.8.9.10/a.png",
        "http://2130706433/a.png",
        "http://0x7f000001/a.png",
        "http://0x7f.0.0.1/a.png",
        "http://0177.0.0.1/a.png",
        "http://017700000001/a.png",
        "http://0/a.png",
        "http://0.0.0.0/a.png",
        "http://10.0.0.5/a.png",
        "http://172.16.0.1/a.png",
        "http://172.31.255.254/a.png",
        "http://192.168.1.1/a.png",
        "http://169.254.169.254/latest/meta-data/",
        "http://100.64.0.1/a.png",
        "http://100.100.100.200/latest/meta-data/",
        "http://192.0.0.8/a.png",
        "http://198.18.0.1/a.png",
        "http://203.0.113.7/a.png",
        "http://224.0.0.1/a.png",
        "http://240.0.0.1/a.png",
        "http://255.255.255.255/a.png",
        "http://[::1]/a.png",
        "http://[::]/a.png",
        "http://[::ffff:127.0.0.1]/a.png",
        "http://[::ffff:7f00:1]/a.png",
        "http://[::ffff:10.0.0.1]/a.png",
        "http://[::127.0.0.1]/a.png",
        "http://[fe80::1]/a.png",
        "http://[fc00::1]/a.png",
        "http://[fd12:3456::1]/a.png",
        "http://[fec0::1]/a.png",
        "http://[ff02::1]/a.png",
        "http://[2001:db8::1]/a.png",
        "http://[2002:7f00:1::]/a.png",
        "http://[64:ff9b::7f00:1]/a.png",
        "http://[64:ff9b::a9fe:a9fe]/a.png",
        "http://inside.example/a.png",
        "http://metadata.example/a.png",
        "http://mixed.example/a.png",
        "http://v6inside.example/a.png",
        "http://localhost/a.png",
        "http://LOCALHOST./a.png",
        "http://１２７.０.０.１/a.png",
    ],
)
async def test_no_address_behind_our_wall_is_connected_to(store: PictureStore, url: str) -> None:
    names = Names(
        inside_example=[["10.1.2.3"]],
        metadata_example=[["169.254.169.254"]],
        mixed_example=[["93.184.216.34", "192.168.0.9"]],
        v6inside_example=[["fd00::5"]],
        localhost=[["127.0.0.1", "::1"]],
    )
    names.answers["localhost."] = [["127.0.0.1"]]
    transport = Connections(1)
    async with httpx.AsyncClient(transport=transport) as http:
        with pytest.raises(PictureRefused):
            await PictureFetcher(http, store, resolve=names).fetch(url)
    assert transport.hosts == []


@pytest.mark.parametrize("address", ["8.8.8.8", "1.12.50.92", "2606:4700::1111", "93.184.216.34"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "data:image/png;base64,iVBORw0KGgo=",
        "file:///etc/passwd",
        "ftp://files.example/a.png",
        "gopher://files.example/a.png",
        "javascript:alert(1)",
        "//files.example/a.png",
        "a.png",
        "",
        "http://",
        "http:///a.png",
        "http://user:password@files.example/a.png",
        "http://user@files.example/a.png",
        "http://files.example:0/a.png",
        "http://files.example:99999/a.png",
        "http://[::1/a.png",
        "http://files.example/" + "a" * 5_000,
    ],
)
async def test_what_is_no_plain_web_address_is_refused_unasked(
    store: PictureStore, url: str
) -> None:
    names = Names(files_example=[["93.184.216.34"]])
    transport = Connections(1)
    async with httpx.AsyncClient(transport=transport) as http:
        with pytest.raises(PictureRefused):
            await PictureFetcher(http, store, resolve=names).fetch(url)
    assert (transport.hosts, names.asked) == ([], [])


async def test_a_public_picture_is_fetched_from_the_address_that_was_checked(
    store: PictureStore, web: Web
) -> None:
    """The second answer of the name, private, is never asked for: nothing to rebind."""
    names = Names(shop_example=[["93.184.216.34"], ["127.0.0.1"]])
    transport = Connections(web.port)
    async with httpx.AsyncClient(transport=transport) as http:
        http.headers["X-Key"] = "secret"
        http.cookies.set("session", "secret")
        data = await PictureFetcher(http, store, resolve=names).fetch(
            "http://shop.example/logo.png"
        )
    assert data == PICTURES["logo_flat"]()
    assert (transport.hosts, names.asked) == (["93.184.216.34"], ["shop.example"])
    assert "Host: shop.example\r\n" in web.asked[0]
    assert "secret" not in web.asked[0]


async def test_tls_asks_for_the_name_and_connects_to_the_address(store: PictureStore) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=parts())

    async def parts() -> AsyncIterator[bytes]:
        yield PICTURES["logo_flat"]()

    names = Names(shop_example=[["93.184.216.34"]])
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        await PictureFetcher(http, store, resolve=names).fetch("https://shop.example/logo.png")
    assert seen[0].url.host == "93.184.216.34"
    assert seen[0].extensions["sni_hostname"] == "shop.example"


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1/logo.png",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/logo.png",
        "http://inside.example/logo.png",
        "//10.0.0.1/logo.png",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "http://user:word@shop.example/logo.png",
        "http://2130706433/",
    ],
)
async def test_every_redirect_is_checked_again(store: PictureStore, web: Web, target: str) -> None:
    web.move("/moved", target)
    names = Names(shop_example=[["93.184.216.34"]], inside_example=[["10.1.2.3"]])
    transport = Connections(web.port)
    async with httpx.AsyncClient(transport=transport) as http:
        with pytest.raises(PictureRefused):
            await PictureFetcher(http, store, resolve=names).fetch("http://shop.example/moved")
    assert transport.hosts == ["93.184.216.34"]


async def test_a_name_that_turns_private_between_two_redirects_is_refused(
    store: PictureStore, web: Web
) -> None:
    web.move("/moved", "/logo.png")
    names = Names(shop_example=[["93.184.216.34"], ["127.0.0.1"]])
    transport = Connections(web.port)
    async with httpx.AsyncClient(transport=transport) as http:
        with pytest.raises(PictureRefused):
            await PictureFetcher(http, store, resolve=names).fetch("http://shop.example/moved")
    assert transport.hosts == ["93.184.216.34"]


async def test_three_redirects_are_followed_and_no_more(
    store: PictureStore, web: Web, http: httpx.AsyncClient
) -> None:
    for step in range(4):
        web.move(f"/{step}", f"/{step + 1}")
    web.put("/4", PICTURES["logo_flat"]())
    fetcher = PictureFetcher(http, store, allow_private=True)
    assert await fetcher.fetch(web.url("/1")) == PICTURES["logo_flat"]()
    with pytest.raises(PictureRefused, match="跳转"):
        await fetcher.fetch(web.url("/0"))


async def test_an_endless_answer_is_cut_at_the_limit(web: Web, store: PictureStore) -> None:
    web.endless.add("/endless")
    async with httpx.AsyncClient(trust_env=False) as http:
        with pytest.raises(PictureRefused, match="20 MB"):
            await PictureFetcher(http, store, allow_private=True).fetch(web.url("/endless"))
    assert web.sent_bytes < 32 * 2**20


@pytest.mark.parametrize("said", ["99999999999", "9" * 40])
async def test_a_length_that_lies_is_refused_or_found_out(
    store: PictureStore, web: Web, http: httpx.AsyncClient, said: str
) -> None:
    body = PICTURES["logo_flat"]()
    web.put("/lie", body, headers=f"Content-Length: {said}\r\n")
    with pytest.raises((PictureRefused, PeerUnavailable)):
        await PictureFetcher(http, store, allow_private=True).fetch(web.url("/lie"))


async def test_an_answer_cut_short_may_be_tried_again(
    store: PictureStore, web: Web, http: httpx.AsyncClient
) -> None:
    body = PICTURES["logo_flat"]()
    web.put("/short", body, headers=f"Content-Length: {len(body) + 100}\r\nConnection: close\r\n")
    with pytest.raises(PeerUnavailable):
        await PictureFetcher(http, store, allow_private=True).fetch(web.url("/short"))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("404 Not Found", PictureRefused),
        ("403 Forbidden", PictureRefused),
        ("410 Gone", PictureRefused),
        ("429 Too Many Requests", PeerUnavailable),
        ("500 Internal Server Error", PeerUnavailable),
        ("503 Service Unavailable", PeerUnavailable),
        ("302 Found", PictureRefused),
    ],
)
async def test_a_status_says_whether_a_later_try_may_succeed(
    store: PictureStore,
    web: Web,
    http: httpx.AsyncClient,
    status: str,
    error: type[Exception],
) -> None:
    web.put("/status", b"", status=status)
    with pytest.raises(error):
        await PictureFetcher(http, store, allow_private=True).fetch(web.url("/status?key=hidden"))


async def test_a_page_is_no_picture_whatever_it_calls_itself(
    store: PictureStore, web: Web, http: httpx.AsyncClient
) -> None:
    web.put("/page.jpg", b"<html>login</html>", headers="Content-Type: image/jpeg\r\n")
    with pytest.raises(PictureRefused, match="不是图片"):
        await PictureFetcher(http, store, allow_private=True).fetch(web.url("/page.jpg"))


async def test_the_time_out_bounds_the_whole_fetch(
    store: PictureStore, web: Web, http: httpx.AsyncClient
) -> None:
    web.hang.add("/hang")
    began = asyncio.get_running_loop().time()
    with pytest.raises(PeerUnavailable, match="in time"):
        await PictureFetcher(http, store, timeout=0.2, allow_private=True).fetch(web.url("/hang"))
    assert asyncio.get_running_loop().time() - began < 2


async def test_a_host_that_is_away_or_unknown_may_be_tried_again(
    store: PictureStore, http: httpx.AsyncClient
) -> None:
    with pytest.raises(PeerUnavailable):
        await PictureFetcher(http, store, resolve=Names()).fetch("http://nowhere.example/a.png")
    with pytest.raises(PeerUnavailable):
        await PictureFetcher(http, store, allow_private=True).fetch("http://127.0.0.1:1/a.png")
