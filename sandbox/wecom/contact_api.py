"""``/cgi-bin/externalcontact/*``: what the service asks about customers of members."""

from typing import Any

from pydantic import Field

from sandbox.wecom.api import (
    BAD_CUSTOMER,
    BAD_MESSAGE_TYPE,
    BAD_PARAMETER,
    EMPTY_CONTENT,
    TOO_LARGE_CONTENT,
    UNKNOWN_USER,
)
from sandbox.wecom.chats import Chats
from sandbox.wecom.contact_ways import ChangedWay, ContactWays, Listed, NewWay, WhichWay
from sandbox.wecom.contacts import Contacts, Relation
from sandbox.wecom.corp_tags import ChangedTag, CorpTags, NewTags, WhichTags
from sandbox.wecom.people import People
from sandbox.wx.calls import GET, Body, Endpoint, JsonObject, Nothing, bytes_of, require
from sandbox.wx.media import MediaStore

WELCOME_BYTES = 4_000
_MOST_ATTACHMENTS = 9
_MOST_TAGS = 3_000
_ATTACHMENTS = {
    "image": (),
    "link": ("title", "url"),
    "miniprogram": ("title", "pic_media_id", "appid", "page"),
    "video": ("media_id",),
    "file": ("media_id",),
}


class _Content(Body):
    content: str = ""


class Welcome(Body):
    welcome_code: str = Field(min_length=1)
    text: _Content = _Content()
    attachments: tuple[dict[str, Any], ...] = ()


class OneCustomer(Body):
    external_userid: str
    cursor: str = ""


class OfMember(Body):
    userid: str


class OfMembers(Body):
    userid_list: tuple[str, ...] = Field(min_length=1, max_length=100)
    cursor: str = ""
    limit: int = Field(default=50, ge=1, le=100)


class Marks(Body):
    userid: str
    external_userid: str
    add_tag: tuple[str, ...] = ()
    remove_tag: tuple[str, ...] = ()


class Remark(Body):
    userid: str
    external_userid: str
    remark: str | None = Field(default=None, max_length=20)
    description: str | None = Field(default=None, max_length=150)
    remark_company: str | None = Field(default=None, max_length=20)
    remark_mobiles: tuple[str, ...] | None = None
    remark_pic_mediaid: str | None = None


class ContactApi:
    def __init__(
        self,
        contacts: Contacts,
        ways: ContactWays,
        tags: CorpTags,
        people: People,
        media: MediaStore,
        chats: Chats,
    ) -> None:
        self._contacts, self._ways, self._tags = contacts, ways, tags
        self._people, self._media, self._chats = people, media, chats

    def endpoints(self) -> tuple[Endpoint, ...]:
        root, ways, tags = "externalcontact/", self._ways, self._tags
        return (
            Endpoint(root + "send_welcome_msg", Welcome, self.welcome),
            Endpoint(root + "get", OneCustomer, self.get, GET),
            Endpoint(root + "list", OfMember, self.customers, GET),
            Endpoint(root + "batch/get_by_user", OfMembers, self.batch),
            Endpoint(root + "get_follow_user_list", Nothing, self.members, GET),
            Endpoint(root + "mark_tag", Marks, self.mark),
            Endpoint(root + "remark", Remark, self.remark),
            Endpoint(root + "get_corp_tag_list", WhichTags, tags.listed),
            Endpoint(root + "add_corp_tag", NewTags, tags.add),
            Endpoint(root + "edit_corp_tag", ChangedTag, tags.change),
            Endpoint(root + "del_corp_tag", WhichTags, self.remove_tags),
            Endpoint(root + "add_contact_way", NewWay, ways.add),
            Endpoint(root + "get_contact_way", WhichWay, ways.show),
            Endpoint(root + "list_contact_way", Listed, ways.listed),
            Endpoint(root + "update_contact_way", ChangedWay, ways.change),
            Endpoint(root + "del_contact_way", WhichWay, ways.remove),
        )

    # Welcome -------------------------------------------------------------------------------

    def welcome(self, wanted: Welcome) -> JsonObject:
        text = wanted.text.content
        require(text or wanted.attachments, EMPTY_CONTENT, "text and attachments are empty")
        require(bytes_of(text) <= WELCOME_BYTES, TOO_LARGE_CONTENT, "text exceed max length")
        few = len(wanted.attachments) <= _MOST_ATTACHMENTS
        require(few, BAD_PARAMETER, "invalid Request Parameter, attachments")
        for attachment in wanted.attachments:
            self._check_attachment(attachment)
        relation = self._contacts.redeem(wanted.welcome_code)
        chat = f"contact/{relation.userid}/{relation.external_userid}"
        if text:
            self._chats.add(chat, "welcome", "text", {"content": text})
        for attachment in wanted.attachments:
            kind = attachment["msgtype"]
            self._chats.add(chat, "welcome", kind, attachment[kind])
        return {}

    def _check_attachment(self, attachment: JsonObject) -> None:
        kind = attachment.get("msgtype", "")
        part = attachment.get(kind)
        require(kind in _ATTACHMENTS, BAD_MESSAGE_TYPE, "invalid message type")
        filled = isinstance(part, dict) and all(part.get(name) for name in _ATTACHMENTS[kind])
        require(filled, BAD_PARAMETER, f"invalid Request Parameter, {kind}")
        assert isinstance(part, dict)
        if kind == "image" and not part.get("pic_url"):
            self._media.get(str(part.get("media_id", "")), "image")
        elif kind in ("video", "file"):
            self._media.get(str(part["media_id"]), kind)

    # Reading -------------------------------------------------------------------------------

    def get(self, wanted: OneCustomer) -> JsonObject:
        relations = [one for one in self._contacts if one.external_userid == wanted.external_userid]
        require(relations, BAD_CUSTOMER, "invalid external_userid", "nobody")
        return {
            "external_contact": self._profile(wanted.external_userid),
            "follow_user": [self._follow(one) | {"tags": self._marks(one)} for one in relations],
        }

    def customers(self, wanted: OfMember) -> JsonObject:
        known = self._people.is_member(wanted.userid)
        require(known, UNKNOWN_USER, "userid not found", "nobody")
        found = [one.external_userid for one in self._contacts if one.userid == wanted.userid]
        return {"external_userid": found}

    def batch(self, wanted: OfMembers) -> JsonObject:
        chosen = [one for one in self._contacts if one.userid in wanted.userid_list]
        start = int(wanted.cursor) if wanted.cursor.isdigit() else 0
        end = start + wanted.limit
        shown = [
            {
                "external_contact": self._profile(one.external_userid),
                "follow_info": self._follow(one) | {"tag_id": one.tags},
            }
            for one in chosen[start:end]
        ]
        following = str(end) if end < len(chosen) else ""
        return {"external_contact_list": shown, "next_cursor": following}

    def members(self, _: Nothing) -> JsonObject:
        known = self._people.members
        seen = dict.fromkeys(one.userid for one in self._contacts)
        return {"follow_user": list(seen if known is None else known)}

    def _profile(self, external_userid: str) -> JsonObject:
        return self._people.meet(external_userid).shown() | {"type": 1}

    def _follow(self, relation: Relation) -> JsonObject:
        return {
            "userid": relation.userid,
            "remark": relation.remark,
            "description": relation.description,
            "createtime": int(relation.created_at),
            "remark_corp_name": relation.remark_company,
            "remark_mobiles": relation.remark_mobiles,
            "oper_userid": relation.external_userid,
            "add_way": relation.add_way,
            "state": relation.state,
        }

    def _marks(self, relation: Relation) -> list[JsonObject]:
        return [
            {"group_name": group.name, "tag_name": tag.name, "tag_id": tag.id, "type": 1}
            for group, tag in self._tags
            if tag.id in relation.tags
        ]

    # Notes ---------------------------------------------------------------------------------

    def mark(self, wanted: Marks) -> JsonObject:
        relation = self._contacts.of(wanted.userid, wanted.external_userid)
        given = wanted.add_tag or wanted.remove_tag
        require(given, BAD_PARAMETER, "invalid Request Parameter, add_tag")
        for tag_id in (*wanted.add_tag, *wanted.remove_tag):
            self._tags.find(tag_id)
        kept = [one for one in relation.tags if one not in wanted.remove_tag]
        tags = list(dict.fromkeys([*kept, *wanted.add_tag]))
        require(len(tags) <= _MOST_TAGS, BAD_PARAMETER, "too many tags", "quota")
        relation.tags = tags
        return {}

    def remove_tags(self, wanted: WhichTags) -> JsonObject:
        self._tags.remove(wanted)
        left = {tag.id for _, tag in self._tags}
        for relation in self._contacts:
            relation.tags = [one for one in relation.tags if one in left]
        return {}

    def remark(self, wanted: Remark) -> JsonObject:
        relation = self._contacts.of(wanted.userid, wanted.external_userid)
        given = wanted.model_dump(exclude_none=True, exclude={"userid", "external_userid"})
        require(given, BAD_PARAMETER, "invalid Request Parameter, remark")
        for name in ("remark", "description", "remark_company"):
            if name in given:
                setattr(relation, name, given[name])
        if wanted.remark_mobiles is not None:
            relation.remark_mobiles = [one for one in wanted.remark_mobiles if one]
        return {}
