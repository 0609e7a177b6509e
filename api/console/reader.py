"""Who reads a page, and what of it is for them."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends

from api.desk.session import Signed, TheActing, TheAdmin, TheSession
from domain.desk import EVERYTHING, Agent
from domain.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Reader:
    """``signed``: with a cookie, which signing out ends."""

    agent: Agent
    csrf: str = field(repr=False)
    signed: bool

    @property
    def id(self) -> str:
        return self.agent.id

    @property
    def name(self) -> str:
        return self.agent.name or self.agent.id

    @property
    def role(self) -> str:
        return self.agent.role.value

    @property
    def status(self) -> str:
        return self.agent.status.value

    @property
    def acts(self) -> bool:
        return self.agent.acts

    @property
    def rules(self) -> bool:
        return self.agent.rules

    @property
    def unscoped(self) -> bool:
        """Rows that name no account are for those who may see all of them."""
        return EVERYTHING in self.agent.scopes

    def may_see(self, needs: str) -> bool:
        allowed = {"": True, "unscoped": self.unscoped, "admin": self.rules}
        return all(allowed[need] for need in needs.split("+"))


def reader_of(signed: Signed) -> Reader:
    return Reader(signed.agent, signed.csrf, signed.by == "cookie")


async def _reader(signed: TheSession) -> Reader:
    return reader_of(signed)


async def _acting(signed: TheActing) -> Reader:
    return reader_of(signed)


async def _admin(signed: TheAdmin) -> Reader:
    return reader_of(signed)


async def _unscoped(signed: TheSession) -> Reader:
    return _all_or_nothing(reader_of(signed))


async def _unscoped_acting(signed: TheActing) -> Reader:
    return _all_or_nothing(reader_of(signed))


async def _unscoped_admin(signed: TheAdmin) -> Reader:
    return _all_or_nothing(reader_of(signed))


def _all_or_nothing(reader: Reader) -> Reader:
    if not reader.unscoped:
        raise InvalidInput("", "这一页不分账号,只对可以查看全部账号的人开放", status=403)
    return reader


TheReader = Annotated[Reader, Depends(_reader)]
TheActor = Annotated[Reader, Depends(_acting)]
TheRuler = Annotated[Reader, Depends(_admin)]
TheUnscoped = Annotated[Reader, Depends(_unscoped)]
TheUnscopedRuler = Annotated[Reader, Depends(_unscoped_admin)]
TheUnscopedActor = Annotated[Reader, Depends(_unscoped_acting)]


def next_path(wanted: str) -> str:
    """Where to go after signing in: a page of the console, never another site's."""
    usable = wanted == "/desk" or wanted.startswith(("/desk/", "/desk?"))
    return wanted if usable and not set(wanted) & set("\\\r\n\t") else "/desk"
