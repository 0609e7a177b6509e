"""``/cgi-bin/media/*``: a form comes in, or raw bytes go out."""

from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from sandbox.wecom.api import BAD_PARAMETER
from sandbox.wx.calls import JsonObject, Refused
from sandbox.wx.forms import media_of
from sandbox.wx.media import MediaStore
from sandbox.wx.serving import CallGate


class MediaApi:
    def __init__(self, store: MediaStore, gate: CallGate, router: APIRouter) -> None:
        self._store, self._gate = store, gate
        add = router.add_api_route
        add("/cgi-bin/media/upload", self.upload, methods=["POST"], response_model=None)
        add("/cgi-bin/media/get", self.get, methods=["GET"], response_model=None)

    async def upload(self, request: Request) -> Response:
        """Keep a file for three days; its id."""
        kind = request.query_params.get("type", "")
        sent = await media_of(request)
        given = {"type": kind, "filename": sent[0], "bytes": len(sent[1])} if sent else None

        def work() -> JsonObject:
            self._gate.admit(request)
            if sent is None:
                raise Refused(BAD_PARAMETER, "invalid Request Parameter, media", "media")
            media_id, at = self._store.upload(kind, *sent)
            return {"type": kind, "media_id": media_id, "created_at": str(int(at))}

        return self._gate.json(request, work, given)

    async def get(self, request: Request) -> Response:
        """The bytes under their name; what is wrong is JSON, with the same HTTP status."""
        media_id = request.query_params.get("media_id", "")

        def work() -> Response:
            self._gate.admit(request)
            found = self._store.get(media_id)
            named = quote(found.name)
            headers = {
                "Content-Disposition": f"attachment; filename=\"{named}\"; filename*=UTF-8''{named}"
            }
            return Response(found.data, media_type=found.media_type, headers=headers)

        return self._gate.respond(request, work, {"media_id": media_id})
