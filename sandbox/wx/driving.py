"""What a person or a test does to a simulated platform, whichever it is."""

from importlib import resources
from pathlib import PurePosixPath

from fastapi import HTTPException
from pydantic import Field
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sandbox.faults import StatusFault, StatusParams
from sandbox.peer import Sandbox
from sandbox.wx.calls import JsonObject, Refused, Setting
from sandbox.wx.media import MediaStore

_KINDS = {
    ".png": "image",
    ".jpg": "image",
    ".jpeg": "image",
    ".amr": "voice",
    ".mp4": "video",
}
_PAGE_POLICY = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data:;"
    " script-src 'unsafe-inline'; style-src 'unsafe-inline'"
)


class Shift(Setting):
    """Seconds that the platform's clock goes forward (or back) from where it is."""

    seconds: float = Field(ge=-31_536_000, le=31_536_000)


class ErrorCode(Setting):
    """Calls that fail with a code; ``request_kind``: which ones, e.g. ``kf/send_msg``. ``count``
    and ``rate``: as of any fault."""

    errcode: int
    errmsg: str = Field(default="injected by the sandbox", max_length=500)
    request_kind: str | None = Field(default=None, min_length=1, max_length=64)
    count: int | None = Field(default=None, ge=1)
    rate: float | None = Field(default=None, gt=0, le=1)


def errcode_fault(peer: str, wanted: ErrorCode, body: JsonObject) -> StatusFault:
    """A fault as these platforms have them: HTTP 200, and a code in the body."""
    return StatusFault(
        peer=peer,
        kind="status",
        request_kind=wanted.request_kind,
        count=wanted.count,
        rate=wanted.rate,
        params=StatusParams(status=200, body=body),
    )


def phone(name: str) -> HTMLResponse:
    """A page of this package, on which a person chats as a customer."""
    text = (resources.files("sandbox") / name).read_text("utf-8")
    return HTMLResponse(text, headers={"Content-Security-Policy": _PAGE_POLICY})


async def keep_body(sandbox: Sandbox, request: Request, store: MediaStore, name: str) -> JsonObject:
    """The body, as something that a customer will send."""
    limit, data = sandbox.settings.max_body_bytes, bytearray()
    async for part in request.stream():
        data += part
        if len(data) > limit:
            raise HTTPException(413, f"a file may have {limit} bytes")
    if not data:
        raise HTTPException(422, "the body is empty")
    kind = _KINDS.get(PurePosixPath(name.lower()).suffix, "file")
    return {"media_id": store.keep(kind, name, bytes(data)), "type": kind}


def show_media(store: MediaStore, media_id: str) -> Response:
    """What hides behind a media id, as a phone would show it."""
    try:
        found = store.get(media_id)
    except Refused as refused:
        raise HTTPException(404, refused.reason) from refused
    safe = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
    return Response(found.data, media_type=found.media_type, headers=safe)
