"""POST /api/pictures, GET /api/pictures/{sha256}."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.envelopes import Json
from api.guard import LIMIT_HEADER
from api.knowledge.uploads import read_form
from api.orders.schemas import ERRORS, PictureOut, Sha256
from domain.decisions import as_dict
from domain.errors import InvalidInput
from engine.orders.pictures import PictureDesk
from tools.pictures.decoding import MAX_BYTES

PICTURES_PATH = "/api/pictures"
MAX_PICTURE_BODY_BYTES = MAX_BYTES + 64 * 1024
"""A form says some more than the picture itself."""
router = APIRouter(prefix=PICTURES_PATH, tags=["orders"], responses=ERRORS)

_BYTES = {"schema": {"type": "string", "format": "binary"}}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": _BYTES,
            "application/octet-stream": _BYTES,
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}
SAFE = {
    # A picture of a stranger: shown, never run, and by nobody's cache but the caller's own.
    "Cache-Control": "private, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}


async def _the_pictures(request: Request) -> PictureDesk:
    desk: PictureDesk = request.app.state.kefu.picture_desk
    return desk


ThePictures = Annotated[PictureDesk, Depends(_the_pictures)]


@router.post(
    "",
    status_code=201,
    response_model=PictureOut,
    responses={200: {"model": PictureOut, "description": "It was there already"}},
    openapi_extra=_BODY,
)
async def upload(request: Request, pictures: ThePictures) -> Response:
    """Take a picture, as the body or as the file of a form, and measure it."""
    data = await _sent(request, pictures.max_bytes)
    facts, new = await pictures.take(data)
    body = {"sha256": facts.sha256, "new": new, "facts": as_dict(facts)}
    headers = {"Location": f"{PICTURES_PATH}/{facts.sha256}"}
    return Json(body, status_code=201 if new else 200, headers=headers)


@router.get(
    "/{sha256}",
    response_class=Response,
    responses={200: {"content": {"image/*": _BYTES}}, 304: {"description": "As the caller has it"}},
)
async def get_picture(sha256: Sha256, request: Request, pictures: ThePictures) -> Response:
    """Its bytes, as they came."""
    headers = SAFE | {"ETag": f'"{sha256}"'}
    if request.headers.get("if-none-match", "").removeprefix("W/") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    shown = await pictures.show(sha256)
    return Response(shown.data, media_type=shown.content_type, headers=headers)


async def _sent(request: Request, limit: int) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _of_form(request)
    if not kind.startswith("image/") and kind != "application/octet-stream":
        raise InvalidInput("Content-Type", "应为图片或 multipart/form-data", status=415)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise HTTPException(413, headers={LIMIT_HEADER: str(limit)})
        parts.append(part)
    if not size:
        raise InvalidInput("body", "不能为空")
    return b"".join(parts)


async def _of_form(request: Request) -> bytes:
    form = await read_form(request)
    try:
        if len(form.files) != 1:
            raise InvalidInput("file", "应只有一个文件")
        return await asyncio.to_thread(form.files[0].take)
    finally:
        form.close()
