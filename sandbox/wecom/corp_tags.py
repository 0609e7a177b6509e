"""Tags of the company, in groups."""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pydantic import Field

from sandbox.wecom.api import BAD_PARAMETER, BAD_TAG, TAG_EXISTS
from sandbox.wx.calls import Body, Clock, JsonObject, Refused, require

_MOST_TAGS = 3_000
_NAME = Field(min_length=1, max_length=30)


class WhichTags(Body):
    tag_id: tuple[str, ...] = ()
    group_id: tuple[str, ...] = ()


class TagName(Body):
    name: str = _NAME
    order: int = 0


class NewTags(Body):
    group_id: str = ""
    group_name: str = Field(default="", max_length=30)
    order: int = 0
    tag: tuple[TagName, ...] = Field(min_length=1)


class ChangedTag(Body):
    id: str
    name: str = Field(default="", max_length=30)
    order: int | None = None


@dataclass(slots=True)
class Tag:
    id: str
    name: str
    order: int
    create_time: int

    def shown(self) -> JsonObject:
        return {
            "id": self.id,
            "name": self.name,
            "create_time": self.create_time,
            "order": self.order,
            "deleted": False,
        }


@dataclass(slots=True)
class Group:
    id: str
    name: str
    order: int
    create_time: int
    tags: dict[str, Tag] = field(default_factory=dict)

    def shown(self, tags: Iterable[Tag]) -> JsonObject:
        return {
            "group_id": self.id,
            "group_name": self.name,
            "create_time": self.create_time,
            "order": self.order,
            "deleted": False,
            "tag": [tag.shown() for tag in tags],
        }

    def named(self, name: str) -> bool:
        return any(tag.name == name for tag in self.tags.values())


class CorpTags:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._groups: dict[str, Group] = {}

    def __iter__(self) -> Iterator[tuple[Group, Tag]]:
        return ((group, tag) for group in self._groups.values() for tag in group.tags.values())

    def find(self, tag_id: str) -> tuple[Group, Tag]:
        """Raises Refused."""
        for group, tag in self:
            if tag.id == tag_id:
                return group, tag
        raise Refused(BAD_TAG, "invalid tag id")

    def listed(self, wanted: WhichTags) -> JsonObject:
        shown = []
        for group in self._groups.values():
            tags = list(group.tags.values())
            if wanted.group_id:
                tags = tags if group.id in wanted.group_id else []
            elif wanted.tag_id:
                tags = [tag for tag in tags if tag.id in wanted.tag_id]
            if tags:
                shown.append(group.shown(tags))
        return {"tag_group": shown}

    def add(self, wanted: NewTags) -> JsonObject:
        count = sum(1 for _ in self) + len(wanted.tag)
        require(count <= _MOST_TAGS, BAD_PARAMETER, "too many tags", "quota")
        group = self._group(wanted)
        fresh = [one for one in wanted.tag if not group.named(one.name)]
        require(fresh, TAG_EXISTS, "UserTag Name Already Exist")
        added = [Tag(_new_id(), one.name, one.order, self._now()) for one in fresh]
        group.tags.update((tag.id, tag) for tag in added)
        self._groups[group.id] = group
        return {"tag_group": group.shown(added)}

    def change(self, wanted: ChangedTag) -> JsonObject:
        named: Group | Tag
        if wanted.id in self._groups:
            named = self._groups[wanted.id]
        else:
            group, named = self.find(wanted.id)
            taken = wanted.name != named.name and group.named(wanted.name)
            require(not taken, TAG_EXISTS, "UserTag Name Already Exist")
        named.name = wanted.name or named.name
        named.order = named.order if wanted.order is None else wanted.order
        return {}

    def remove(self, wanted: WhichTags) -> JsonObject:
        for tag_id in wanted.tag_id:
            group, tag = self.find(tag_id)
            del group.tags[tag.id]
        for group_id in wanted.group_id:
            require(self._groups.pop(group_id, None), BAD_TAG, "invalid tag group id")
        self._groups = {one.id: one for one in self._groups.values() if one.tags}
        return {}

    def clear(self) -> None:
        self._groups.clear()

    def _group(self, wanted: NewTags) -> Group:
        if wanted.group_id:
            found = self._groups.get(wanted.group_id)
            if found is None:
                raise Refused(BAD_TAG, "invalid tag group id")
            return found
        require(wanted.group_name, BAD_PARAMETER, "invalid Request Parameter, group_name")
        for group in self._groups.values():
            if group.name == wanted.group_name:
                return group
        return Group(_new_id(), wanted.group_name, wanted.order, self._now())

    def _now(self) -> int:
        return int(self._clock.now())


def _new_id() -> str:
    return "et" + secrets.token_urlsafe(22)
