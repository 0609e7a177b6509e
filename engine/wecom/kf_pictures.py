"""Pictures to customers of customer service: uploaded, and shown as what they are.

A picture that cannot be had, or that the platform does not take, goes out as its address: the
customer loses it in no case.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import PurePath

from domain.errors import KefuError, PeerRejected, PeerUnavailable
from engine.wecom.kf_words import Part
from storage.kf_windows import Whose
from tools.wecom.errors import PEER
from tools.wecom.kf import KfClient
from tools.wecom.media import MediaUploads
from tools.wx.errors import WxRejected

log = logging.getLogger(__name__)
PATIENT_ATTEMPTS = 3
"""So often a delivery is put off because its picture is not to be had just now."""
Picture = Callable[[str], Awaitable[bytes]]
"""The picture at an address of a deliverable. Raises KefuError."""
_FORGOTTEN = 40007
_NOT_SHOWN = frozenset({40004, 40005, 40006, 40008, 44001, 45001, 95030})
"""The platform does not take this as a picture; it may take words."""
_KINDS = ((b"\xff\xd8\xff", ".jpg"), (b"\x89PNG\r\n\x1a\n", ".png"))
_NAME = "图片"


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture that the platform has, or had a moment ago."""

    data: bytes
    name: str


class KfPictures:
    def __init__(self, client: KfClient, uploads: MediaUploads, picture: Picture) -> None:
        self._client, self._uploads, self._picture = client, uploads, picture

    async def prepare(self, part: Part, *, may_wait: bool) -> Shown | None:
        """Fetched and uploaded; None where it is to go out as its address. Raises PeerUnavailable
        where it may be had later, if ``may_wait``."""
        try:
            data = await self._picture(part.picture)
            shown = Shown(data, _named(part.name, data))
            await self._uploads.media_id(data, shown.name)
        except PeerUnavailable as error:
            if may_wait:
                raise
            log.warning("a picture is not to be had, its address goes out: %s", error)
        except KefuError as error:
            log.warning("a picture goes out as its address: %s", error)
        else:
            return shown
        return None

    async def send(self, whose: Whose, part: Part, shown: Shown) -> bool:
        """False where its address is to go out after all. Raises PeerError as `KfClient.send`."""
        for _ in range(2):
            media_id = await self._media_id(shown)
            if media_id is None:
                return False
            try:
                await self._client.send(
                    whose.account,
                    whose.sender_id,
                    "image",
                    {"media_id": media_id},
                    msgid=part.msgid,
                )
            except WxRejected as error:
                if error.errcode != _FORGOTTEN and error.errcode not in _NOT_SHOWN:
                    raise
                log.warning("the platform does not show a picture: %s", error)
                self._uploads.forget(media_id)
                if error.errcode != _FORGOTTEN:
                    return False
            else:
                return True
        return False

    async def _media_id(self, shown: Shown) -> str | None:
        try:
            return await self._uploads.media_id(shown.data, shown.name)
        except KefuError as error:
            log.warning("a picture is not uploaded again, its address goes out: %s", error)
            return None


def _named(name: str, data: bytes) -> str:
    """With the ending of what it is. Raises PeerRejected for what customer service cannot show."""
    for magic, ending in _KINDS:
        if data.startswith(magic):
            return name if PurePath(name).suffix else f"{name or _NAME}{ending}"
    raise PeerRejected(PEER, "图片不是 JPEG 或 PNG")
