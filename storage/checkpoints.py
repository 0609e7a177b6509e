"""LangGraph checkpoints as rows of ours, committed together with the turn that made them.

The savers that LangGraph ships commit on their own: after a crash between their commit and ours
the turn would be replayed on a state that already holds it. This one keeps what a run puts in
memory (`stage` … `collect`), and the turn's transaction writes it. Threads that are not staged are
read and written directly, so the official conformance suite and Studio's calls work as usual.
"""

import inspect
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    copy_checkpoint,
    get_checkpoint_id,
    get_checkpoint_metadata,
)
from sqlalchemy import Connection, text

from domain.lru import ByteLru
from storage.database import Database
from storage.serde import CheckpointSerializer
from storage.statements import Statement

RECENT_BYTES = 32 << 20
RECENT_S = 1_800.0
DECODED_SHARE = 5
"""A decoded state takes about so many times its bytes in the row."""


@dataclass(frozen=True, slots=True)
class StoredWrite:
    task_id: str
    idx: int
    channel: str
    kind: str
    value: bytes
    task_path: str


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    thread_id: str
    checkpoint_ns: str
    checkpoint_id: str
    parent_id: str | None
    kind: str
    body: bytes
    meta: bytes
    pending: tuple[StoredWrite, ...] = ()


@dataclass(slots=True)
class _Stage:
    base: StoredCheckpoint | None
    puts: dict[tuple[str, str], StoredCheckpoint] = field(default_factory=dict)
    writes: dict[tuple[str, str], dict[tuple[str, int], StoredWrite]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StagedRun:
    """What a run leaves behind: its last checkpoint of each namespace, with pending writes."""

    checkpoints: tuple[StoredCheckpoint, ...] = ()


_COLUMNS = "thread_id, checkpoint_ns, checkpoint_id, parent_id, kind, body, meta, writes"
_LATEST = Statement(
    f"SELECT {_COLUMNS} FROM checkpoints WHERE thread_id = :thread AND checkpoint_ns = :ns"  # noqa: S608 - constant text
    " ORDER BY checkpoint_id DESC LIMIT 1"
)
_EXACT = Statement(
    f"SELECT {_COLUMNS} FROM checkpoints"  # noqa: S608 - constant text
    " WHERE thread_id = :thread AND checkpoint_ns = :ns AND checkpoint_id = :id"
)
_PUT = Statement(
    """
    INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_id, kind, body, meta,
        writes)
    VALUES (:thread_id, :checkpoint_ns, :checkpoint_id, :parent_id, :kind, :body, :meta, :writes)
    ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id) DO UPDATE SET
        parent_id = excluded.parent_id, kind = excluded.kind, body = excluded.body,
        meta = excluded.meta, writes = excluded.writes
    """
)
_PUT_WRITE = Statement(
    """
    INSERT INTO checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel,
        kind, value, task_path)
    VALUES (:thread_id, :checkpoint_ns, :checkpoint_id, :task_id, :idx, :channel, :kind, :value,
        :task_path)
    ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) DO UPDATE SET
        channel = excluded.channel, kind = excluded.kind, value = excluded.value
    WHERE excluded.idx < 0
    """
)
_COUNT_WRITES = Statement(
    "UPDATE checkpoints SET writes = writes + :n"
    " WHERE thread_id = :thread_id AND checkpoint_ns = :checkpoint_ns"
    " AND checkpoint_id = :checkpoint_id"
)
_PENDING = Statement(
    "SELECT task_id, idx, channel, kind, value, task_path FROM checkpoint_writes"
    " WHERE thread_id = :thread AND checkpoint_ns = :ns AND checkpoint_id = :id"
    " ORDER BY task_id, idx"
)
_PRUNE = Statement(
    """
    DELETE FROM checkpoints WHERE thread_id = :thread AND checkpoint_ns = :ns AND checkpoint_id < (
        SELECT checkpoint_id FROM checkpoints WHERE thread_id = :thread AND checkpoint_ns = :ns
        ORDER BY checkpoint_id DESC LIMIT 1 OFFSET :keep)
    RETURNING writes
    """
)
_PRUNE_WRITES = Statement(
    "DELETE FROM checkpoint_writes WHERE thread_id = :thread AND checkpoint_ns = :ns"
    " AND NOT EXISTS (SELECT 1 FROM checkpoints c WHERE c.thread_id = checkpoint_writes.thread_id"
    " AND c.checkpoint_ns = checkpoint_writes.checkpoint_ns"
    " AND c.checkpoint_id = checkpoint_writes.checkpoint_id)"
)


def latest_checkpoint(connection: Connection, thread: str, ns: str = "") -> StoredCheckpoint | None:
    row = _LATEST.first(connection, {"thread": thread, "ns": ns})
    return _stored(connection, row) if row else None


def _stored(connection: Connection, row: Any) -> StoredCheckpoint:
    pending: tuple[StoredWrite, ...] = ()
    thread, ns, checkpoint_id, parent_id, kind, body, meta, writes = row
    if writes:
        rows = _PENDING.all(connection, {"thread": thread, "ns": ns, "id": checkpoint_id})
        pending = tuple(StoredWrite(*r) for r in rows)
    return StoredCheckpoint(
        thread, ns, checkpoint_id, parent_id, kind, bytes(body), bytes(meta), pending
    )


def save_run(connection: Connection, run: StagedRun, *, keep: int) -> None:
    """Write what a run left, and prune its threads to the newest ``keep`` checkpoints."""
    for stored in run.checkpoints:
        _put(connection, stored)
        _put_writes(connection, stored, stored.pending)
        prune(connection, stored.thread_id, stored.checkpoint_ns, keep=keep)


def prune(connection: Connection, thread: str, ns: str, *, keep: int) -> None:
    where = {"thread": thread, "ns": ns}
    gone = _PRUNE.all(connection, where | {"keep": max(keep, 1) - 1})
    if any(row[0] for row in gone):
        _PRUNE_WRITES.run(connection, where)


def delete_thread(connection: Connection, thread: str) -> None:
    connection.execute(text("DELETE FROM checkpoints WHERE thread_id = :t"), {"t": thread})
    connection.execute(text("DELETE FROM checkpoint_writes WHERE thread_id = :t"), {"t": thread})


def _put(connection: Connection, stored: StoredCheckpoint) -> None:
    _PUT.run(
        connection,
        {
            "thread_id": stored.thread_id,
            "checkpoint_ns": stored.checkpoint_ns,
            "checkpoint_id": stored.checkpoint_id,
            "parent_id": stored.parent_id,
            "kind": stored.kind,
            "body": stored.body,
            "meta": stored.meta,
            "writes": len(stored.pending),
        },
    )


def _put_writes(
    connection: Connection, at: StoredCheckpoint, writes: Sequence[StoredWrite]
) -> None:
    if not writes:
        return
    where = {
        "thread_id": at.thread_id,
        "checkpoint_ns": at.checkpoint_ns,
        "checkpoint_id": at.checkpoint_id,
    }
    _PUT_WRITE.run_many(
        connection,
        [
            where
            | {
                "task_id": w.task_id,
                "idx": w.idx,
                "channel": w.channel,
                "kind": w.kind,
                "value": w.value,
                "task_path": w.task_path,
            }
            for w in writes
        ],
    )


class RowCheckpointSaver(BaseCheckpointSaver[int]):
    """Checkpoints in our database; see the module's docstring for staging.

    ``recent`` keeps conversations' last states decoded. One is used only where the row that the
    turn starts from has the same checkpoint id, so another process's turn is never missed.
    """

    def __init__(
        self, database: Database, *, recent: ByteLru[str, CheckpointTuple] | None = None
    ) -> None:
        self._recent = ByteLru(RECENT_BYTES, ttl_s=RECENT_S) if recent is None else recent
        super().__init__(serde=CheckpointSerializer())
        self._database = database
        self._stages: dict[str, _Stage] = {}

    def stage(self, thread_id: str, base: StoredCheckpoint | None) -> None:
        """Keep the run of ``thread_id`` in memory; it starts from ``base``."""
        self._stages[thread_id] = _Stage(base)

    def discard(self, thread_id: str) -> None:
        self._stages.pop(thread_id, None)

    def collect(self, thread_id: str) -> StagedRun:
        """End staging; what the run left is the caller's to commit."""
        stage = self._stages.pop(thread_id)
        last: dict[str, StoredCheckpoint] = {}
        for (ns, checkpoint_id), stored in stage.puts.items():
            if ns not in last or last[ns].checkpoint_id < checkpoint_id:
                last[ns] = stored
        return StagedRun(tuple(self._with_writes(stage, stored) for stored in last.values()))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        thread, ns, checkpoint_id = _address(config)
        stage = self._stages.get(thread)
        if stage is not None:
            stored = self._staged(stage, ns, checkpoint_id)
            if stored is not None:
                return self._remembered(stored) or self._tuple(stored)
            if checkpoint_id is None and ns == "":
                return None

        def read(connection: Connection) -> StoredCheckpoint | None:
            if checkpoint_id is None:
                return latest_checkpoint(connection, thread, ns)
            row = _EXACT.first(connection, {"thread": thread, "ns": ns, "id": checkpoint_id})
            return _stored(connection, row) if row else None

        found = await self._database.read(read)
        return self._tuple(found) if found else None

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        thread, ns, parent = _address(config)
        kind, body = self.serde.dumps_typed(checkpoint)
        meta = self.serde.dumps_typed(get_checkpoint_metadata(config, metadata))[1]
        stored = StoredCheckpoint(thread, ns, checkpoint["id"], parent, kind, body, meta)
        stage = self._stages.get(thread)
        if stage is not None:
            stage.puts[(ns, stored.checkpoint_id)] = stored
            self._remember(stored, checkpoint, metadata)
        else:
            await self._database.write(lambda connection: _put(connection, stored), key=thread)
        return _config(thread, ns, checkpoint["id"])

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        thread, ns, checkpoint_id = _address(config)
        rows = [
            StoredWrite(
                task_id,
                WRITES_IDX_MAP.get(channel, at),
                channel,
                *self.serde.dumps_typed(value),
                task_path,
            )
            for at, (channel, value) in enumerate(writes)
        ]
        stage = self._stages.get(thread)
        if stage is not None:
            kept = stage.writes.setdefault((ns, checkpoint_id or ""), {})
            for row in rows:
                if row.idx < 0 or (task_id, row.idx) not in kept:
                    kept[(task_id, row.idx)] = row
            return
        at = StoredCheckpoint(thread, ns, checkpoint_id or "", None, "", b"", b"")

        def save(connection: Connection) -> None:
            _put_writes(connection, at, rows)
            _COUNT_WRITES.run(
                connection,
                {
                    "n": len(rows),
                    "thread_id": thread,
                    "checkpoint_ns": ns,
                    "checkpoint_id": at.checkpoint_id,
                },
            )

        await self._database.write(save, key=thread)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        sql, params = _listing(config, before)

        def read(connection: Connection) -> list[StoredCheckpoint]:
            return [_stored(connection, row) for row in connection.execute(text(sql), params)]

        found = 0
        for stored in await self._database.read(read):
            item = self._tuple(stored)
            if filter and any(item.metadata.get(k) != v for k, v in filter.items()):
                continue
            if limit is not None and found >= limit:
                return
            found += 1
            yield item

    async def adelete_thread(self, thread_id: str) -> None:
        self.discard(thread_id)
        await self._database.write(
            lambda connection: delete_thread(connection, thread_id), key=thread_id
        )

    # LangGraph asks for the synchronous twins only from synchronous runs, which we do not make.
    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        raise TypeError("use the asynchronous graph methods with this saver")

    def list(self, *_args: Any, **_kwargs: Any) -> Iterator[CheckpointTuple]:
        raise TypeError("use the asynchronous graph methods with this saver")

    def _remember(
        self, stored: StoredCheckpoint, checkpoint: Checkpoint, metadata: CheckpointMetadata
    ) -> None:
        if stored.checkpoint_ns:
            return
        parent = (
            _config(stored.thread_id, stored.checkpoint_ns, stored.parent_id)
            if stored.parent_id
            else None
        )
        kept = CheckpointTuple(
            _config(stored.thread_id, stored.checkpoint_ns, stored.checkpoint_id),
            copy_checkpoint(checkpoint),
            metadata,
            parent,
            [],
        )
        size = DECODED_SHARE * (len(stored.body) + len(stored.meta))
        self._recent.put(stored.thread_id, kept, stored.checkpoint_id, size=size)

    def _remembered(self, stored: StoredCheckpoint) -> CheckpointTuple | None:
        if stored.pending or stored.checkpoint_ns:
            return None
        return self._recent.get(stored.thread_id, stored.checkpoint_id)

    def _staged(self, stage: _Stage, ns: str, checkpoint_id: str | None) -> StoredCheckpoint | None:
        if checkpoint_id is not None:
            stored = stage.puts.get((ns, checkpoint_id))
            if stored is None and stage.base and stage.base.checkpoint_id == checkpoint_id:
                stored = stage.base
            return self._with_writes(stage, stored) if stored else None
        ids = [at for space, at in stage.puts if space == ns]
        if ids:
            return self._with_writes(stage, stage.puts[(ns, max(ids))])
        return self._with_writes(stage, stage.base) if stage.base and ns == "" else None

    def _with_writes(self, stage: _Stage, stored: StoredCheckpoint) -> StoredCheckpoint:
        extra = stage.writes.get((stored.checkpoint_ns, stored.checkpoint_id))
        if not extra:
            return stored
        merged = {(w.task_id, w.idx): w for w in stored.pending} | extra
        return StoredCheckpoint(
            stored.thread_id,
            stored.checkpoint_ns,
            stored.checkpoint_id,
            stored.parent_id,
            stored.kind,
            stored.body,
            stored.meta,
            tuple(merged.values()),
        )

    def _tuple(self, stored: StoredCheckpoint) -> CheckpointTuple:
        loads = self.serde.loads_typed
        checkpoint = cast(Checkpoint, loads((stored.kind, stored.body)))
        parent = (
            _config(stored.thread_id, stored.checkpoint_ns, stored.parent_id)
            if stored.parent_id
            else None
        )
        return CheckpointTuple(
            config=_config(stored.thread_id, stored.checkpoint_ns, stored.checkpoint_id),
            checkpoint=checkpoint,
            metadata=cast(CheckpointMetadata, loads(("msgpack", stored.meta))),
            parent_config=parent,
            pending_writes=[
                (w.task_id, w.channel, loads((w.kind, w.value))) for w in stored.pending
            ],
        )


# LangGraph asks for this signature in every run; computing it anew each time costs 0.07 ms.
RowCheckpointSaver.aput_writes.__signature__ = inspect.signature(  # type: ignore[attr-defined]
    RowCheckpointSaver.aput_writes
)


def _address(config: RunnableConfig) -> tuple[str, str, str | None]:
    configurable = config["configurable"]
    return (
        str(configurable["thread_id"]),
        str(configurable.get("checkpoint_ns", "")),
        get_checkpoint_id(config),
    )


def _config(thread: str, ns: str, checkpoint_id: str) -> RunnableConfig:
    return {
        "configurable": {
            "thread_id": thread,
            "checkpoint_ns": ns,
            "checkpoint_id": checkpoint_id,
        }
    }


def _listing(
    config: RunnableConfig | None, before: RunnableConfig | None
) -> tuple[str, dict[str, str]]:
    where, params = ["1 = 1"], {}
    if config is not None:
        configurable = config["configurable"]
        where.append("thread_id = :thread")
        params["thread"] = str(configurable["thread_id"])
        if configurable.get("checkpoint_ns") is not None:
            where.append("checkpoint_ns = :ns")
            params["ns"] = str(configurable["checkpoint_ns"])
        if at := get_checkpoint_id(config):
            where.append("checkpoint_id = :id")
            params["id"] = at
    if before is not None and (until := get_checkpoint_id(before)):
        where.append("checkpoint_id < :before")
        params["before"] = until
    sql = f"SELECT {_COLUMNS} FROM checkpoints WHERE {' AND '.join(where)}"  # noqa: S608 - fixed parts
    return sql + " ORDER BY checkpoint_id DESC", params
