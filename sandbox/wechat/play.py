"""Who plays the followers: by a test, or by hand on the page."""

import random
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException
from pydantic import Field, JsonValue, StringConstraints

from sandbox.wechat.callbacks import CallbackSender
from sandbox.wechat.chats import Chats
from sandbox.wechat.followers import Followers, Trigger
from sandbox.wx.calls import Clock, JsonObject, Refused, Setting
from sandbox.wx.media import MediaStore

OpenId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Key = Annotated[str, StringConstraints(min_length=1, max_length=128)]
_WITH_MEDIA = {"image", "voice", "video", "shortvideo"}


class Said(Setting):
    """``msgid``: of a message that was delivered before; ``menu_id``: of a menu that was sent.
    ``recognition``: what speech recognition has heard."""

    openid: OpenId
    msgtype: Literal["text", "image", "voice", "video", "shortvideo", "location", "link"] = "text"
    text: str = Field(default="", max_length=20_000)
    media_id: str = Field(default="", max_length=256)
    pic_url: str = Field(default="", max_length=2_000)
    recognition: str = Field(default="", max_length=2_000)
    latitude: float = Field(default=23.134521, ge=-90, le=90)
    longitude: float = Field(default=113.358803, ge=-180, le=180)
    label: str = Field(default="", max_length=500)
    title: str = Field(default="", max_length=500)
    url: str = Field(default="", max_length=2_000)
    menu_id: str = Field(default="", max_length=64)
    msgid: int | None = Field(default=None, ge=1, lt=2**63)


class Follow(Setting):
    """``scene``: of the QR code that led here."""

    openid: OpenId
    scene: str = Field(default="", max_length=64)


class Leave(Setting):
    openid: OpenId


class Scan(Setting):
    openid: OpenId
    scene: Key


class Click(Setting):
    """``url``: the menu opens a page instead of telling its key."""

    openid: OpenId
    key: str = Field(default="", max_length=128)
    url: str = Field(default="", max_length=1_000)


class Place(Setting):
    openid: OpenId
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)


class AnyCallback(Setting):
    """``fields`` in WeChat's spelling: a callback of whatever kind."""

    openid: OpenId
    fields: dict[str, JsonValue]
    is_shown: bool = True


class Traits(Setting):
    """What a follower, or the account about one, has decided."""

    openid: OpenId
    user_blocks: bool = False
    is_blacklisted: bool = False
    pays: bool = False


class Play:
    def __init__(
        self,
        clock: Clock,
        sender: CallbackSender,
        followers: Followers,
        chats: Chats,
        media: MediaStore,
        chance: random.Random,
    ) -> None:
        self._clock, self._sender = clock, sender
        self._followers, self._chats, self._media = followers, chats, media
        self._chance = chance

    def drive(self, admin: APIRouter) -> None:
        add = admin.add_api_route
        add("/say", self.say, methods=["POST"], status_code=202)
        add("/subscribe", self.subscribe, methods=["POST"], status_code=202)
        add("/unsubscribe", self.unsubscribe, methods=["POST"], status_code=202)
        add("/scan", self.scan, methods=["POST"], status_code=202)
        add("/click", self.click, methods=["POST"], status_code=202)
        add("/location", self.locate, methods=["POST"], status_code=202)
        add("/callbacks", self.send_any, methods=["POST"], status_code=202)
        add("/followers", self.followers, methods=["GET"])
        add("/followers", self.set_traits, methods=["PUT"])

    async def say(self, said: Said) -> JsonObject:
        """A follower writes; whoever is not known follows since before."""
        self._expect(said.openid)
        fields = self._fields(said)
        msgid = said.msgid or 2**62 + self._chance.getrandbits(60)
        self._followers.trigger(said.openid, "message")
        self._followers.meet(said.openid).said_at = self._clock.now()
        shown = said.model_dump(exclude_defaults=True, exclude={"openid", "msgtype", "msgid"})
        if "text" in shown:
            shown["content"] = shown.pop("text")
        self._chats.add(said.openid, "said", said.msgtype, shown, answers=str(msgid))
        fields = {"MsgType": said.msgtype} | fields | {"MsgId": msgid}
        sent = self._sender.send(said.openid, fields, is_shown=True)
        # As text: JavaScript would round it.
        return {"msgid": str(msgid), "callback": sent and sent.number}

    async def subscribe(self, wanted: Follow) -> JsonObject:
        """Follow, from a QR code if ``scene`` is given."""
        follower = self._followers.meet(wanted.openid)
        follower.subscribed, follower.scene = True, wanted.scene
        follower.subscribed_at = self._clock.now()
        key: JsonObject = {"EventKey": ""}
        if wanted.scene:
            key = {"EventKey": f"qrscene_{wanted.scene}", "Ticket": self._ticket()}
        return self._event(wanted.openid, "subscribe", key, "subscribe", note="关注了公众号")

    async def unsubscribe(self, wanted: Leave) -> JsonObject:
        """Follow no more: no answer reaches them."""
        follower = self._followers.meet(wanted.openid)
        follower.subscribed = False
        follower.windows.clear()
        key = {"EventKey": ""}
        return self._event(
            wanted.openid, "unsubscribe", key, note="取消关注了公众号", is_shown=False
        )

    async def scan(self, wanted: Scan) -> JsonObject:
        """A follower scans a QR code."""
        self._expect(wanted.openid)
        key = {"EventKey": wanted.scene, "Ticket": self._ticket()}
        return self._event(wanted.openid, "SCAN", key, "scan", note=f"扫描了二维码 {wanted.scene}")

    async def click(self, wanted: Click) -> JsonObject:
        """A follower touches the menu."""
        self._expect(wanted.openid)
        if wanted.url:
            key = {"EventKey": wanted.url, "MenuId": 1}
            return self._event(
                wanted.openid, "VIEW", key, note=f"打开了 {wanted.url}", is_shown=False
            )
        key = {"EventKey": wanted.key}
        return self._event(wanted.openid, "CLICK", key, "click", note=f"点了菜单 {wanted.key}")

    async def locate(self, wanted: Place) -> JsonObject:
        """The phone tells where it is: nobody waits for an answer."""
        self._expect(wanted.openid)
        where = {"Latitude": wanted.latitude, "Longitude": wanted.longitude, "Precision": 65.0}
        return self._event(wanted.openid, "LOCATION", where, is_shown=False)

    async def send_any(self, wanted: AnyCallback) -> JsonObject:
        """Send what no other route here sends, signed like all."""
        if not {"MsgType", "Event"} & wanted.fields.keys():
            raise HTTPException(422, "fields needs a MsgType or an Event")
        sent = self._sender.send(wanted.openid, dict(wanted.fields), is_shown=wanted.is_shown)
        return {"callback": sent and sent.number}

    async def followers(self) -> JsonObject:
        """Who is known, and what may still be sent to them."""
        return {"followers": self._followers.shown()}

    async def set_traits(self, wanted: Traits) -> JsonObject:
        """Blocks, a blacklist, a payment."""
        follower = self._followers.meet(wanted.openid)
        follower.user_blocks = wanted.user_blocks
        follower.is_blacklisted = wanted.is_blacklisted
        if wanted.pays:
            self._followers.trigger(wanted.openid, "payment")
        return follower.shown(self._clock.now())

    def finished(self, openid: str, msgid: int, status: str) -> None:
        """A template message has come to its end."""
        told = {"MsgID": msgid, "Status": status}
        self._event(openid, "TEMPLATESENDJOBFINISH", told, is_shown=False)

    def _expect(self, openid: str) -> None:
        if not self._followers.meet(openid).subscribed:
            raise HTTPException(409, f"{openid!r} does not follow the account any more")

    def _event(
        self,
        openid: str,
        event: str,
        fields: JsonObject,
        trigger: Trigger | None = None,
        *,
        note: str = "",
        is_shown: bool = True,
    ) -> JsonObject:
        if trigger is not None:
            self._followers.trigger(openid, trigger)
        if note:
            self._chats.add(openid, "did", "text", {"content": note}, answers=event)
        sent = self._sender.send(
            openid, {"MsgType": "event", "Event": event} | fields, is_shown=is_shown
        )
        return {"callback": sent and sent.number}

    def _ticket(self) -> str:
        return f"gQ{self._chance.getrandbits(256):064x}"

    def _fields(self, said: Said) -> JsonObject:
        if said.msgtype in _WITH_MEDIA:
            return self._media_fields(said)
        if said.msgtype == "location":
            where = {"Location_X": said.latitude, "Location_Y": said.longitude}
            return where | {"Scale": 15, "Label": said.label}
        if said.msgtype == "link":
            return {"Title": said.title, "Description": said.text, "Url": said.url}
        if not said.text:
            raise HTTPException(422, "a text message needs a text")
        menu = {"bizmsgmenuid": said.menu_id} if said.menu_id else {}
        return {"Content": said.text} | menu

    def _media_fields(self, said: Said) -> JsonObject:
        try:
            self._media.get(said.media_id)
        except Refused as refused:
            raise HTTPException(422, refused.reason) from refused
        fields: JsonObject = {"MediaId": said.media_id}
        if said.msgtype == "image":
            fields["PicUrl"] = said.pic_url or f"http://mmbiz.invalid/{said.media_id}"
        elif said.msgtype == "voice":
            fields |= {"Format": "amr", "MediaId16K": said.media_id}
            fields |= {"Recognition": said.recognition} if said.recognition else {}
        else:
            fields["ThumbMediaId"] = said.media_id
        return fields
