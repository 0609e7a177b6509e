"""GET /pictures/{sha256}: a picture under the signed address that a customer was sent."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.orders.pictures import SAFE, ThePictures
from api.platform.schemas import ErrorOut
from domain.errors import InvalidInput
from engine.orders.links import PATH, PictureLinks

router = APIRouter(prefix=PATH, tags=["orders"])

_BYTES = {"schema": {"type": "string", "format": "binary"}}
_HEADERS = SAFE | {"Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}


async def _the_links(request: Request) -> PictureLinks:
    links: PictureLinks = request.app.state.kefu.links
    return links


TheLinks = Annotated[PictureLinks, Depends(_the_links)]


@router.head("/{sha256}", include_in_schema=False)
@router.get(
    "/{sha256}",
    response_class=Response,
    responses={
        200: {"content": {"image/*": _BYTES}},
        404: {
            "model": ErrorOut,
            "description": "No such picture, or the address is not valid any more",
        },
    },
)
async def get_linked_picture(
    sha256: str, links: TheLinks, pictures: ThePictures, expires: str = "", sign: str = ""
) -> Response:
    """Its bytes. Addresses are made by the service, need no key, and work for some days."""
    if not links.admits(sha256, expires, sign):
        raise HTTPException(404)
    try:
        shown = await pictures.show(sha256)
    except InvalidInput:
        raise HTTPException(404) from None
    name = f"{sha256[:12]}.{shown.content_type.rpartition('/')[2]}"
    headers = _HEADERS | {
        "ETag": f'"{sha256}"',
        "Content-Disposition": f'inline; filename="{name}"',
    }
    return Response(shown.data, media_type=shown.content_type, headers=headers)
