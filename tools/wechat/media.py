"""Files of an official account: temporary, three days (reference wechat_official.md, section 9)."""

from domain.errors import PeerRejected, PeerUnavailable
from tools.wechat.errors import PEER
from tools.wx.api import WxApi

UPLOAD = "/cgi-bin/media/upload"
GET = "/cgi-bin/media/get"
MAX_IMAGE_BYTES = 10 << 20


class WechatMedia:
    """Every method raises PeerUnavailable or PeerRejected."""

    def __init__(self, api: WxApi) -> None:
        self._api = api

    async def upload_image(self, filename: str, data: bytes) -> str:
        """Its media id, good for three days."""
        if len(data) > MAX_IMAGE_BYTES:
            raise PeerRejected(PEER, f"the picture has more than {MAX_IMAGE_BYTES} bytes")
        answer = await self._api.upload(UPLOAD, "media", filename, data, type="image")
        media_id = answer.get("media_id")
        if not isinstance(media_id, str) or not media_id:
            raise PeerUnavailable(PEER, "its answer holds no media_id")
        return media_id

    async def picture(self, media_id: str) -> bytes:
        """A customer's picture. Of a video the platform tells an address only: PeerRejected."""
        found = await self._api.download(GET, media_id=media_id)
        if found.data.lstrip()[:1] == b"{":
            raise PeerRejected(PEER, "the media is no picture")
        return found.data
