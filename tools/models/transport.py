"""The HTTP clients that all providers share. Imported with the SDKs: both are built on httpx2."""

import json
import ssl

import httpx2

from tools.models.failures import ErrorInBody, error_in_body
from tools.models.lanes import WIDTH

_LIMITS = httpx2.Limits(max_connections=200, max_keepalive_connections=WIDTH, keepalive_expiry=30.0)
_CONNECT_TIMEOUT = 5.0


def build_http_clients(count: int) -> list[httpx2.AsyncClient]:
    """Loads the CA bundle once for all, which blocks: use a thread."""
    context = httpx2.create_ssl_context()
    return [_build_http_client(context) for _ in range(count)]


def _build_http_client(context: ssl.SSLContext) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        verify=context,
        limits=_LIMITS,
        timeout=httpx2.Timeout(60.0, connect=_CONNECT_TIMEOUT),
        follow_redirects=True,
        event_hooks={"response": [refuse_false_success]},
        # A proxy that the environment names must not see calls to the sandbox or to local models.
        mounts={"all://127.0.0.1": None, "all://localhost": None},
    )


async def refuse_false_success(response: httpx2.Response) -> None:
    """Raise ErrorInBody for HTTP 200 with an error, or with a web page, in place of an answer."""
    if response.status_code != 200:
        return
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/html":
        raise ErrorInBody(None, "a web page in place of an answer")
    if kind == "application/json":
        _check(await response.aread())


def _check(body: bytes) -> None:
    if b'"choices"' in body or b'"content"' in body:
        return
    try:
        payload = json.loads(body)
    except ValueError:
        raise ErrorInBody(None, f"unreadable answer of {len(body)} bytes") from None
    if error_in_body(payload):
        raise ErrorInBody(payload, "error in a successful answer")
