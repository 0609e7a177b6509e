"""Gets a picture from an address that a customer sent, and never from behind our own wall."""

import asyncio
from collections.abc import Sequence

import httpx

from domain.errors import PeerRejected, PeerUnavailable
from tools.http_errors import error_of_response, error_of_transport
from tools.pictures.addresses import Resolve, is_public, literal, resolve_by_system
from tools.pictures.decoding import PictureRefused, read_header
from tools.pictures.store import PictureStore

PEER = "picture"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_URL_CHARS = 4_096
_TRIED_ADDRESSES = 2
_CHUNK = 65_536


class PictureFetcher:
    """``timeout``: seconds for the whole fetch, redirects included. ``http`` belongs to the caller;
    its headers, cookies and credentials are not sent.

    A host is resolved once, its addresses are checked, and the checked address is what we connect
    to: a name that answers differently a moment later gains nothing.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        store: PictureStore,
        *,
        timeout: float = 15.0,
        allow_private: bool = False,
        max_redirects: int = 3,
        resolve: Resolve = resolve_by_system,
    ) -> None:
        self._http, self._limits, self._timeout = http, store.limits, timeout
        self._allow_private, self._max_redirects = allow_private, max_redirects
        self._resolve = resolve

    async def fetch(self, url: str) -> bytes:
        """Raises PictureRefused, or PeerUnavailable where a later try may succeed."""
        try:
            async with asyncio.timeout(self._timeout):
                data = await self._follow(_parsed(url))
        except PeerRejected as error:
            raise _refusal_of_status(error) from error
        except (httpx.HTTPError, TimeoutError) as error:
            raise error_of_transport(PEER, error) from error
        except httpx.InvalidURL as error:
            raise PictureRefused("图片地址写错了，请检查后重发") from error
        await asyncio.to_thread(read_header, data, self._limits)
        return data

    async def _follow(self, url: httpx.URL) -> bytes:
        for _ in range(self._max_redirects + 1):
            found = await self._get(url)
            if isinstance(found, bytes):
                return found
            url = _parsed(str(url.join(found)))
        raise PictureRefused("图片地址跳转次数过多，请直接发送图片")

    async def _get(self, url: httpx.URL) -> bytes | str:
        """The content, or where it moved to."""
        addresses = (await self._addresses(url))[:_TRIED_ADDRESSES]
        for address in addresses[:-1]:
            try:
                return await self._get_from(url, address)
            except httpx.ConnectError:
                continue
        return await self._get_from(url, addresses[-1])

    async def _addresses(self, url: httpx.URL) -> Sequence[str]:
        host = url.raw_host.decode("ascii")
        found = literal(host)
        addresses = [found] if found else await self._resolved(host, _port(url))
        # One private address among public ones is what a rebinding name looks like.
        if not self._allow_private and not all(map(is_public, addresses)):
            raise PictureRefused("不能从内部网络地址取图片，请直接发送图片")
        return addresses

    async def _resolved(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise PeerUnavailable(PEER, "its host name cannot be resolved") from error
        if not addresses:
            raise PeerUnavailable(PEER, "its host name has no address")
        return addresses

    async def _get_from(self, url: httpx.URL, address: str) -> bytes | str:
        request = self._request(url, address)
        response = await self._http.send(request, auth=None, stream=True, follow_redirects=False)
        try:
            if response.status_code in _REDIRECTS and "Location" in response.headers:
                return response.headers["Location"]
            _check_status(response)
            return await self._content(response)
        finally:
            await response.aclose()

    def _request(self, url: httpx.URL, address: str) -> httpx.Request:
        headers = {
            "Host": url.netloc.decode("ascii"),
            "Accept": "image/*",
            "Accept-Encoding": "identity",
            "User-Agent": "kefu-graph",
            # Pools know a connection by its address: one host's TLS must not serve another's.
            "Connection": "close",
        }
        timeouts = httpx.Timeout(self._timeout).as_dict()
        names = {"sni_hostname": url.raw_host.decode("ascii")} if url.scheme == "https" else {}
        return httpx.Request(
            "GET",
            url.copy_with(host=address, fragment=None),
            headers=headers,
            extensions={"timeout": timeouts, **names},
        )

    async def _content(self, response: httpx.Response) -> bytes:
        """Counted as it comes: what the peer says of its length is only good for refusing early."""
        limit = self._limits.max_bytes
        said = response.headers.get("Content-Length", "")
        if said.isdecimal() and len(said) < 20 and int(said) > limit:
            raise _too_long(limit)
        content = bytearray()
        async for part in response.aiter_raw(_CHUNK):
            content += part
            if len(content) > limit:
                raise _too_long(limit)
        return bytes(content)


def _parsed(text: str) -> httpx.URL:
    if len(text) > _MAX_URL_CHARS:
        raise PictureRefused("图片地址太长，请直接发送图片")
    try:
        url = httpx.URL(text.strip())
        port = url.port
    except (httpx.InvalidURL, ValueError, UnicodeError) as error:
        raise PictureRefused("图片地址写错了，请检查后重发") from error
    if url.scheme not in ("http", "https"):
        raise PictureRefused("图片地址应以 http:// 或 https:// 开头，请直接发送图片")
    if url.userinfo:
        raise PictureRefused("图片地址里不能带账号密码，请直接发送图片")
    if not url.host or not (port is None or 0 < port < 65_536):
        raise PictureRefused("图片地址写错了，请检查后重发")
    return url


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _check_status(response: httpx.Response) -> None:
    problem = error_of_response(PEER, response, reason="does not give the picture")
    if problem is not None:
        raise problem


def _refusal_of_status(error: PeerRejected) -> PictureRefused:
    gone = error.status in (404, 410)
    return PictureRefused(
        "图片链接已失效，请重新发送图片" if gone else "图片链接打不开，请直接发送图片"
    )


def _too_long(limit: int) -> PictureRefused:
    return PictureRefused(f"图片超过 {limit / 1_048_576:.0f} MB，请压缩后再发")
