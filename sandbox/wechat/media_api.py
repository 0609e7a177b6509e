"""``/cgi-bin/media/*``: a form comes in; bytes go out, of a video its address (reference, 9)."""

from collections.abc import Callable

from fastapi import APIRouter, HTTPException
from starlette.requests import Request
from starlette.responses import Response

from sandbox.peer import json_answer
from sandbox.wechat.codes import BAD_MEDIA_KIND
from sandbox.wx.calls import JsonObject, Refused
from sandbox.wx.driving import show_media
from sandbox.wx.forms import media_of
from sandbox.wx.media import BAD_TYPE_PARAMETER, EMPTY_MEDIA, MIB, MediaStore
from sandbox.wx.serving import CallGate

_VIDEO = "wechat video"
MOST_BYTES = {"image": 10 * MIB, "voice": 2 * MIB, "video": 10 * MIB, "thumb": 64 * 1_024}


class MediaApi:
    """Where files come and go."""

    def __init__(self, store: MediaStore, gate: CallGate, router: APIRouter) -> None:
        self._store, self._gate = store, gate
        add = router.add_api_route
        add("/cgi-bin/media/upload", self.upload, methods=["POST"], response_model=None)
        add("/cgi-bin/media/get", self.get, methods=["GET"], response_model=None)
        add("/video/{media_id}", self.video, methods=["GET"], name=_VIDEO, response_model=None)

    async def upload(self, request: Request) -> Response:
        """Keep a file for three days; its id."""
        kind = request.query_params.get("type", "")
        sent = await media_of(request)
        given = {"type": kind, "filename": sent[0], "bytes": len(sent[1])} if sent else None

        def work() -> Response:
            self._gate.admit(request)
            if sent is None:
                raise Refused(EMPTY_MEDIA, "media data missing", "media")
            return json_answer(self._kept(kind, *sent))

        return self._gate.respond(request, work, given)

    def _kept(self, kind: str, name: str, data: bytes) -> JsonObject:
        try:
            media_id, at = self._store.upload(kind, name, data)
        except Refused as refused:
            if refused.code != BAD_TYPE_PARAMETER:
                raise
            raise Refused(BAD_MEDIA_KIND, "invalid media type", "media") from None
        return {"type": kind, "media_id": media_id, "created_at": int(at)}

    async def get(self, request: Request) -> Response:
        """The bytes; what is wrong is JSON with the same HTTP status."""
        media_id = request.query_params.get("media_id", "")
        return self._gate.respond(request, self._getting(request, media_id), {"media_id": media_id})

    def _getting(self, request: Request, media_id: str) -> Callable[[], Response]:
        def work() -> Response:
            self._gate.admit(request)
            found = self._store.get(media_id)
            if found.kind == "video":
                url = request.url_for(_VIDEO, media_id=media_id)
                return json_answer({"video_url": str(url)})
            headers = {"Content-Disposition": f'attachment; filename="{media_id}.bin"'}
            return Response(found.data, media_type=found.media_type, headers=headers)

        return work

    async def video(self, media_id: str) -> Response:
        """Where ``video_url`` leads; without a token."""
        try:
            if self._store.get(media_id).kind != "video":
                raise HTTPException(404, "no such video")
        except Refused as refused:
            raise HTTPException(404, refused.reason) from refused
        return show_media(self._store, media_id)
