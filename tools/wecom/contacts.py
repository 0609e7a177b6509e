"""Customers of members: welcome, profile, tags, notes, contact ways (reference wecom.md, 4).

No call accepts a friend request: a contact way that skips verification is what there is. None
writes to a customer as a member either, but the welcome.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.errors import PeerRejected
from tools.wecom.answers import number, objects, text, texts
from tools.wecom.errors import PEER, TAG_EXISTS
from tools.wecom.robot import shortened
from tools.wx.api import JsonObject, WxApi
from tools.wx.errors import WxRejected

MAX_WELCOME_BYTES = 4_000
MAX_TAG_CHARS = 30
MAX_DESCRIPTION_CHARS = 150
MAX_STATE_CHARS = MAX_WAY_REMARK_CHARS = 30
MAX_WAY_USERS = 100
_SINGLE, _MULTIPLE = 1, 2
_BY_QR_CODE = 2
_PERSONAL = 2
_WAYS_PAGE = 100
_MAX_PAGES = 1_000

ADD_WAYS = {
    1: "扫码",
    2: "搜索手机号",
    3: "名片分享",
    4: "群聊",
    5: "手机通讯录",
    6: "微信联系人",
    7: "微信好友申请",
    8: "第三方客服",
    9: "搜索邮箱",
    10: "视频号",
    11: "日程",
    12: "会议",
    13: "微信好友的企业微信",
    14: "智慧硬件",
    15: "上门服务",
    16: "获客链接",
    17: "定制开发",
    18: "需求回复",
    201: "内部成员共享",
    202: "管理员分配",
}


@dataclass(frozen=True, slots=True)
class Follower:
    """A member whose customer it is. ``state``: of the contact way by which they came; ``tag_ids``
    and ``tags``, their names: of the company's tags, not the member's own."""

    userid: str
    remark: str
    description: str
    state: str
    add_way: int
    tag_ids: tuple[str, ...]
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExternalContact:
    """``unionid``: only where an open-platform account is bound."""

    external_userid: str
    name: str
    corp_name: str
    unionid: str
    followers: tuple[Follower, ...]

    def follower(self, userid: str) -> Follower | None:
        # UserIDs are not told apart by case.
        wanted = userid.lower()
        return next((one for one in self.followers if one.userid.lower() == wanted), None)


@dataclass(frozen=True, slots=True)
class CorpTag:
    id: str
    name: str
    group: str


@dataclass(frozen=True, slots=True)
class ContactWay:
    """Ways that were made here are not in the admin pages: their ``config_id`` is all there is."""

    config_id: str
    qr_code: str
    users: tuple[str, ...]
    state: str
    remark: str
    skip_verify: bool


class ContactsClient:
    """Every method raises PeerUnavailable (again later) or PeerRejected (never again); those of
    the platform's own making have an ``errcode``."""

    def __init__(self, api: WxApi) -> None:
        self._api = api

    async def welcome(self, code: str, content: str) -> None:
        """Once, within 20 s of the event that brought ``code``."""
        body = {"welcome_code": code, "text": {"content": shortened(content, MAX_WELCOME_BYTES)}}
        await self._api.post("/externalcontact/send_welcome_msg", body)

    async def contact(self, external_userid: str) -> ExternalContact:
        found: list[Follower] = []
        cursor, profile = "", JsonObject()
        for _ in range(_MAX_PAGES):
            more = {"cursor": cursor} if cursor else {}
            answer = await self._api.get(
                "/externalcontact/get", external_userid=external_userid, **more
            )
            given = answer.get("external_contact")
            profile = profile or (given if isinstance(given, dict) else {})
            found += map(_follower, objects(answer, "follow_user"))
            cursor = text(answer, "next_cursor")
            if not cursor:
                break
        return ExternalContact(
            external_userid,
            text(profile, "name"),
            text(profile, "corp_name"),
            text(profile, "unionid"),
            tuple(found),
        )

    # Tags and notes ------------------------------------------------------------------------

    async def tags(self) -> tuple[CorpTag, ...]:
        answer = await self._api.post("/externalcontact/get_corp_tag_list", {})
        return tuple(
            CorpTag(text(tag, "id"), text(tag, "name"), text(group, "group_name"))
            for group in objects(answer, "tag_group")
            if not group.get("deleted")
            for tag in objects(group, "tag")
            if not tag.get("deleted")
        )

    async def tag_id(self, name: str, group: str) -> str:
        """Of the tag with that name, in ``group`` where there are several; it is made there if
        there is none."""
        if not 0 < len(name) <= MAX_TAG_CHARS:
            raise PeerRejected(PEER, f"标签 {name!r} 不是 1 到 {MAX_TAG_CHARS} 个字")
        known = _chosen(await self.tags(), name, group)
        if known:
            return known
        try:
            body = {"group_name": group, "tag": [{"name": name}]}
            await self._api.post("/externalcontact/add_corp_tag", body)
        except WxRejected as error:
            # Another process was quicker.
            if error.errcode != TAG_EXISTS:
                raise
        # Not from the answer: it has no tag where nothing was added.
        made = _chosen(await self.tags(), name, group)
        if not made:
            raise PeerRejected(PEER, f"标签 {name!r} 没有建成，请在「客户联系 → 客户标签」里添加")
        return made

    async def mark(
        self,
        userid: str,
        external_userid: str,
        *,
        add: Sequence[str] = (),
        remove: Sequence[str] = (),
    ) -> None:
        """``add``, ``remove``: ids of tags, not both empty."""
        pair = {"userid": userid, "external_userid": external_userid}
        body = pair | {"add_tag": list(add), "remove_tag": list(remove)}
        await self._api.post("/externalcontact/mark_tag", body)

    async def describe(self, userid: str, external_userid: str, description: str) -> None:
        """The member's note on the customer, cut at 150 characters."""
        pair = {"userid": userid, "external_userid": external_userid}
        body = pair | {"description": description[:MAX_DESCRIPTION_CHARS]}
        await self._api.post("/externalcontact/remark", body)

    # Contact ways --------------------------------------------------------------------------

    async def add_way(
        self, users: Sequence[str], *, skip_verify: bool = True, state: str = "", remark: str = ""
    ) -> ContactWay:
        """A QR code by which customers add one of ``users``; with ``skip_verify`` nobody has to
        accept them. ``state`` comes back in the event."""
        problem = _problem(users, state, remark)
        if problem:
            raise PeerRejected(PEER, problem)
        body: JsonObject = {
            "type": _SINGLE if len(users) == 1 else _MULTIPLE,
            "scene": _BY_QR_CODE,
            "skip_verify": skip_verify,
            "user": list(users),
            "state": state,
            "remark": remark,
        }
        answer = await self._api.post("/externalcontact/add_contact_way", body)
        made = text(answer, "config_id"), text(answer, "qr_code")
        return ContactWay(*made, tuple(users), state, remark, skip_verify)

    async def ways(self) -> tuple[ContactWay, ...]:
        """Those that were made by the API."""
        found: list[ContactWay] = []
        cursor = ""
        for _ in range(_MAX_PAGES):
            body = {"limit": _WAYS_PAGE} | ({"cursor": cursor} if cursor else {})
            answer = await self._api.post("/externalcontact/list_contact_way", body)
            for one in objects(answer, "contact_way"):
                found.append(await self.way(text(one, "config_id")))
            cursor = text(answer, "next_cursor")
            if not cursor:
                break
        return tuple(found)

    async def way(self, config_id: str) -> ContactWay:
        body = {"config_id": config_id}
        answer = await self._api.post("/externalcontact/get_contact_way", body)
        given = answer.get("contact_way")
        fields: JsonObject = given if isinstance(given, dict) else {}
        return ContactWay(
            config_id,
            text(fields, "qr_code"),
            texts(fields, "user"),
            text(fields, "state"),
            text(fields, "remark"),
            fields.get("skip_verify") is True,
        )

    async def remove_way(self, config_id: str) -> None:
        """Its code stops working; customers who came by it stay."""
        await self._api.post("/externalcontact/del_contact_way", {"config_id": config_id})


def source_of(add_way: int, state: str) -> tuple[str, ...]:
    """How a customer came, for people to read."""
    way = ADD_WAYS.get(add_way)
    return tuple(filter(None, (f"来源：{way}" if way else "", f"渠道：{state}" if state else "")))


def _follower(given: JsonObject) -> Follower:
    tags = [one for one in objects(given, "tags") if number(one, "type") != _PERSONAL]
    return Follower(
        text(given, "userid"),
        text(given, "remark"),
        text(given, "description"),
        text(given, "state"),
        number(given, "add_way"),
        tuple(filter(None, (text(tag, "tag_id") for tag in tags))),
        tuple(filter(None, (text(tag, "tag_name") for tag in tags))),
    )


def _chosen(tags: Sequence[CorpTag], name: str, group: str) -> str:
    named = [one for one in tags if one.name == name]
    best = next((one for one in named if one.group == group), None) or next(iter(named), None)
    return best.id if best else ""


def _problem(users: Sequence[str], state: str, remark: str) -> str:
    if not 0 < len(users) <= MAX_WAY_USERS or not all(users):
        return f"「联系我」要有 1 到 {MAX_WAY_USERS} 个成员"
    if len(state) > MAX_STATE_CHARS or len(remark) > MAX_WAY_REMARK_CHARS:
        return f"「联系我」的渠道与备注最多 {MAX_STATE_CHARS} 个字"
    return ""
