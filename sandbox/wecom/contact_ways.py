"""Contact ways: QR codes that make members and customers known to each other."""

import secrets
from dataclasses import dataclass, field

from pydantic import Field

from sandbox.wecom.api import BAD_PARAMETER, UNKNOWN_USER
from sandbox.wecom.people import People
from sandbox.wx.calls import Body, JsonObject, Refused, require

_NO_SUCH_WAY = 41044
_TOO_MANY_PEOPLE = 41041
_MOST_PEOPLE = 100


class WayFields(Body):
    remark: str = Field(default="", max_length=30)
    skip_verify: bool = True
    state: str = Field(default="", max_length=30)
    user: tuple[str, ...] = ()
    party: tuple[int, ...] = ()


class NewWay(WayFields):
    type: int = Field(ge=1, le=2)
    scene: int = Field(ge=1, le=2)
    style: int = 1
    is_temp: bool = False


class ChangedWay(WayFields):
    config_id: str


class WhichWay(Body):
    config_id: str


class Listed(Body):
    cursor: str = ""
    limit: int = Field(default=100, ge=1, le=1_000)


@dataclass(slots=True)
class Way:
    config_id: str
    type: int
    scene: int
    fields: JsonObject = field(default_factory=dict)

    def shown(self) -> JsonObject:
        shown = {"config_id": self.config_id, "type": self.type, "scene": self.scene}
        if self.scene == 2:
            shown["qr_code"] = f"https://wework.qpic.cn/wwpic/{self.config_id}/0"
        return shown | self.fields

    @property
    def skip_verify(self) -> bool:
        return bool(self.fields["skip_verify"])


class ContactWays:
    def __init__(self, people: People) -> None:
        self._people = people
        self._ways: dict[str, Way] = {}

    def get(self, config_id: str) -> Way:
        """Raises Refused."""
        way = self._ways.get(config_id)
        if way is None:
            raise Refused(_NO_SUCH_WAY, "contact way not exist", "nobody")
        return way

    def add(self, wanted: NewWay) -> JsonObject:
        self._check(wanted.type, wanted)
        way = Way(secrets.token_hex(16), wanted.type, wanted.scene, _fields(wanted))
        self._ways[way.config_id] = way
        shown = way.shown()
        return {name: shown[name] for name in ("config_id", "qr_code") if name in shown}

    def show(self, wanted: WhichWay) -> JsonObject:
        return {"contact_way": self.get(wanted.config_id).shown()}

    def listed(self, wanted: Listed) -> JsonObject:
        start = int(wanted.cursor) if wanted.cursor.isdigit() else 0
        ids = list(self._ways)
        page: JsonObject = {
            "contact_way": [{"config_id": one} for one in ids[start : start + wanted.limit]]
        }
        if start + wanted.limit < len(ids):
            page["next_cursor"] = str(start + wanted.limit)
        return page

    def change(self, wanted: ChangedWay) -> JsonObject:
        way = self.get(wanted.config_id)
        given = wanted.model_dump(exclude_unset=True, exclude={"config_id"})
        merged = WayFields.model_validate(way.fields | given)
        self._check(way.type, merged)
        way.fields = _fields(merged)
        return {}

    def remove(self, wanted: WhichWay) -> JsonObject:
        del self._ways[self.get(wanted.config_id).config_id]
        return {}

    def clear(self) -> None:
        self._ways.clear()

    def _check(self, kind: int, wanted: WayFields) -> None:
        fits = len(wanted.user) == 1 if kind == 1 else bool(wanted.user or wanted.party)
        require(fits, BAD_PARAMETER, "invalid Request Parameter, user")
        require(len(wanted.user) <= _MOST_PEOPLE, _TOO_MANY_PEOPLE, "too many users")
        known = all(self._people.is_member(userid) for userid in wanted.user)
        require(known, UNKNOWN_USER, "userid not found", "nobody")


def _fields(wanted: WayFields) -> JsonObject:
    names = set(WayFields.model_fields)
    return wanted.model_dump(mode="json", include=names)
