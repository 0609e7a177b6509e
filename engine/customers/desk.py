"""What people do with customers: look, change, judge, merge, hand out, forget.

Every act is in the audit log, written with what it does; words and values of a customer are not.
"""

import base64
import binascii
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Connection

from domain.errors import InvalidInput, NotFound
from engine.customers.views import CustomerPage, CustomerView, MergeView, line, view
from engine.regressions.files import Regressions
from storage import (
    customer_counts,
    customer_erasures,
    customer_merges,
    customer_reads,
    customers,
)
from storage.audit import record
from storage.clock import iso
from storage.customer_erasures import Erasure
from storage.customers import Wanted
from storage.database import Database
from storage.holdings import HOLDINGS, Holding, Trail, page_of, shown, trail_of
from storage.sealed import SEALED, unsealed
from tools.pictures.store import PictureStore

MAX_LISTED = 20
"""Of each kind of thing beside a customer."""
EXPORT_PAGE = 200


class CustomerDesk:
    """``wording_of``: how a question is worded in what is learned from it. Every method raises
    NotFound for a customer who is not known."""

    def __init__(
        self,
        database: Database,
        store: PictureStore,
        regressions: Regressions,
        *,
        wording_of: Callable[[str], str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._store, self._regressions = database, store, regressions
        self._wording_of, self._clock = wording_of, clock

    # Looking -------------------------------------------------------------------------------

    async def listed(self, wanted: Wanted, *, cursor: str = "") -> CustomerPage:
        """Persons, the last active first. Raises InvalidInput for a cursor that is none of ours."""
        asked = replace(wanted, after=_place(cursor), limit=wanted.limit + 1)
        found = await self._database.read(lambda c: customers.listed(c, asked))
        page = found[: wanted.limit]
        more = len(found) > len(page)
        return CustomerPage([line(row) for row in page], _cursor(page[-1]) if more else None)

    async def get(self, customer_id: int) -> CustomerView:
        return await self._database.read(lambda c: _view(c, _contact(c, customer_id)))

    async def find(self, contact_id: str) -> int:
        """The number of the person behind a contact."""

        def unit(connection: Connection) -> int:
            found = customers.contacts(connection, contact_id)
            if not found:
                raise NotFound("contact_id", contact_id)
            return found[0].id

        return await self._database.read(unit)

    # Changing ------------------------------------------------------------------------------

    async def change(
        self, customer_id: int, changes: Mapping[str, str], *, actor: str
    ) -> CustomerView:
        """``changes``: as `storage.customers.edit` takes them."""

        def act(connection: Connection, contact: str, now: float) -> dict[str, Any]:
            customers.edit(connection, contact, changes, now=now)
            told = {name: changes[name] for name in ("state", "pinned") if name in changes}
            return {"changed": sorted(changes), **told}

        return await self._act(customer_id, "customer.change", act, actor)

    async def tag(
        self, customer_id: int, *, add: Collection[str], remove: Collection[str], actor: str
    ) -> CustomerView:
        def act(connection: Connection, contact: str, now: float) -> dict[str, Any]:
            tags = customers.tag(connection, contact, add=add, remove=remove, actor=actor, now=now)
            if len(tags) > customers.MAX_TAGS:
                raise InvalidInput("add", f"一位客户最多 {customers.MAX_TAGS} 个标签")
            return {"added": list(add), "removed": list(remove)}

        return await self._act(customer_id, "customer.tag", act, actor)

    async def bought(
        self, customer_id: int, key: str, amount: int, *, note: str, actor: str
    ) -> CustomerView:
        """A deal of ``amount`` fen, once under its ``key``; 409 where the key is of a deal of
        somebody else's or of an order's."""
        whole = f"api:{key}"

        def act(connection: Connection, contact: str, now: float) -> dict[str, Any]:
            customer_reads.require_theirs(connection, "deals", whole, contact)
            customer_counts.bought(connection, whole, contact, amount, note=note, by=actor, now=now)
            return {"deal": key, "amount": amount}

        return await self._act(customer_id, "customer.deal", act, actor)

    async def call_off(self, customer_id: int, key: str, *, actor: str) -> CustomerView:
        """A deal does not count any more; ``key``: as it is listed."""

        def act(connection: Connection, contact: str, now: float) -> dict[str, Any]:
            if not customer_reads.require_theirs(connection, "deals", key, contact):
                raise NotFound("key", key)
            customer_counts.called_off(connection, key, now=now)
            return {"deal": key}

        return await self._act(customer_id, "customer.deal_off", act, actor)

    async def judge(self, customer_id: int, key: str, rating: int, *, actor: str) -> CustomerView:
        """What the customer says of us, 1 to 5, once under its ``key``."""
        whole = f"api:{key}"

        def act(connection: Connection, contact: str, now: float) -> dict[str, Any]:
            customer_reads.require_theirs(connection, "customer_verdicts", whole, contact)
            customer_counts.judged(connection, whole, contact, rating=rating, by=actor, now=now)
            return {"feedback": key, "rating": rating}

        return await self._act(customer_id, "customer.feedback", act, actor)

    # One person, several contacts ----------------------------------------------------------

    async def merge(self, customer_id: int, other_id: int, *, actor: str) -> MergeView:
        now = self._clock()

        def unit(connection: Connection) -> customer_merges.MergeRow:
            one, other = _contact(connection, customer_id), _contact(connection, other_id)
            return customer_merges.merge(connection, one, other, actor=actor, now=now)

        return _merge_view(await self._database.write(unit))

    async def unmerge(self, customer_id: int, merge_id: int, *, actor: str) -> MergeView:
        """Raises NotFound for a merge that is none of this customer's."""
        now = self._clock()

        def unit(connection: Connection) -> customer_merges.MergeRow:
            contact = _contact(connection, customer_id)
            known = {one.id for one in customer_merges.merges_of(connection, contact)}
            if merge_id not in known:
                raise NotFound("merge", str(merge_id))
            return customer_merges.unmerge(connection, merge_id, actor=actor, now=now)

        return _merge_view(await self._database.write(unit))

    # Handing out and forgetting ------------------------------------------------------------

    async def export(self, customer_id: int, *, actor: str) -> AsyncIterator[bytes]:
        """Everything about a person as one JSON object, table by table, a page at a time."""
        now = self._clock()

        def unit(connection: Connection) -> Trail:
            contact = _contact(connection, customer_id)
            _noted(connection, "customer.export", contact, {}, actor, now)
            trail = trail_of(connection, contact)
            assert trail is not None
            return trail

        return self._exported(await self._database.write(unit), now)

    async def _exported(self, trail: Trail, now: float) -> AsyncIterator[bytes]:
        head = {"exported_at": iso(now), "contacts": list(trail.contact)}
        yield orjson.dumps(head)[:-1]
        for holding in HOLDINGS:
            if holding.told:
                async for piece in self._table(holding, trail):
                    yield piece
        yield b"\n}\n"

    async def _table(self, holding: Holding, trail: Trail) -> AsyncIterator[bytes]:
        yield b",\n" + orjson.dumps(holding.table) + b": ["
        offset, found = 0, EXPORT_PAGE
        while found == EXPORT_PAGE:
            rows = await self._database.read(
                partial(_page, holding=holding, trail=trail, offset=offset)
            )
            found = len(rows)
            lines = b",\n  ".join(orjson.dumps(row) for row in rows)
            if lines:
                yield (b",\n  " if offset else b"\n  ") + lines
            offset += found
        yield b"\n]" if offset else b"]"

    async def erase(self, customer_id: int, *, actor: str) -> Erasure:
        """Forget a person in every table, then the files that were only theirs."""
        now = self._clock()

        def unit(connection: Connection) -> Erasure:
            contact = _contact(connection, customer_id)
            return customer_erasures.erase(
                connection, contact, actor=actor, now=now, wording_of=self._wording_of
            )

        erasure = await self._database.write(unit)
        await self.remove_files(erasure)
        return erasure

    async def remove_files(self, erasure: Erasure) -> None:
        """Said again it does no harm: a picture that has come since, from whomever, stays."""
        for sha256 in erasure.files.pictures:
            await self._store.remove(sha256, before=erasure.at_ts)
        for name in erasure.files.regressions:
            try:
                await self._regressions.drop(name)
            except NotFound:
                continue
        now = self._clock()
        await self._database.write(lambda c: customer_erasures.finish(c, erasure.id, now=now))

    # ---------------------------------------------------------------------------------------

    async def _act(
        self,
        customer_id: int,
        action: str,
        act: Callable[[Connection, str, float], dict[str, Any]],
        actor: str,
    ) -> CustomerView:
        now = self._clock()

        def unit(connection: Connection) -> CustomerView:
            contact = _contact(connection, customer_id)
            detail = act(connection, contact, now)
            _noted(connection, action, contact, detail, actor, now)
            return _view(connection, contact)

        return await self._database.write(unit)


def _contact(connection: Connection, customer_id: int) -> str:
    contact = customers.contact_of(connection, customer_id)
    if contact is None:
        raise NotFound("customer_id", str(customer_id))
    return contact


def _view(connection: Connection, contact_id: str) -> CustomerView:
    found = customers.contacts(connection, contact_id)
    ids = [row.contact_id for row in found]
    beside = customer_reads.beside(connection, ids, limit=MAX_LISTED)
    return view(found, customer_counts.average_deal(connection), beside)


def _page(
    connection: Connection, holding: Holding, trail: Trail, offset: int
) -> list[dict[str, Any]]:
    found = page_of(connection, holding, trail, limit=EXPORT_PAGE, offset=offset)
    sealed = [one.column for one in SEALED if one.table == holding.table]
    return [shown(holding, unsealed(connection, row, *sealed)) for row in found]


def _noted(
    connection: Connection, action: str, subject: str, detail: dict[str, Any], by: str, now: float
) -> None:
    record(connection, at=iso(now), actor=by, action=action, subject=subject, detail=detail)


def _merge_view(row: customer_merges.MergeRow) -> MergeView:
    return MergeView(
        row.id,
        row.person_id,
        row.other_id,
        row.moved,
        row.by,
        row.at,
        row.undone_by,
        row.undone_at,
    )


def _cursor(row: customers.CustomerRow) -> str:
    return base64.urlsafe_b64encode(f"{row.last_active_at} {row.id}".encode()).decode()


def _place(cursor: str) -> tuple[str, int] | None:
    if not cursor:
        return None
    try:
        at, _, number = base64.urlsafe_b64decode(cursor.encode()).decode().rpartition(" ")
        if "\0" in at or not 0 < int(number) < 2**62:
            raise ValueError(number)
        return at, int(number)
    except (ValueError, binascii.Error):
        raise InvalidInput("cursor", "不是上一页返回的值") from None
