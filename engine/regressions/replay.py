"""Scripts played through the real engine, one conversation each, and what came of it."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, text

from domain.approvals import Verdict
from domain.errors import KefuError
from domain.ids import contact_id
from domain.messages import Attachment, InboundMessage
from engine.engine import Engine
from engine.regressions.checks import Failure, failures, handoff_of, stands_on
from engine.regressions.script import Customer, ReadScript, Step
from storage import approvals
from storage.clock import iso
from storage.database import Database
from storage.turns import TurnCommit
from tools.pictures.intake import PREFIX
from tools.pictures.store import PictureStore

CHANNEL, ACCOUNT = "api", "regression"
TURN_S = 120.0
MAX_PICTURE_BYTES = 20 * 1024 * 1024
_SCHEMES = ("http://", "https://", PREFIX)
_KNOWN = text(
    "INSERT INTO customers (contact_id, name, level, pinned, score, state, total_messages,"
    " last_active_at, remark) VALUES (:contact, :name, :level, :level, :score, 'new', 0, :at, '')"
)


@dataclass(frozen=True, slots=True)
class PlayedTurn:
    """``answer``: of the turn that the customer's words made."""

    line: int
    said: str
    answer: Mapping[str, Any]
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class Played:
    """``error``: why the conversation could not be played to its end."""

    file: str
    line: int
    name: str
    turns: tuple[PlayedTurn, ...]
    seconds: float
    error: str = ""

    @property
    def passed(self) -> bool:
        return not self.error and not any(turn.failures for turn in self.turns)


@dataclass(slots=True)
class Report:
    played: list[Played] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def failed(self) -> int:
        return sum(not one.passed for one in self.played)

    def as_json(self) -> dict[str, Any]:
        return {
            "conversations": len(self.played),
            "passed": len(self.played) - self.failed,
            "failed": self.failed,
            "turns": sum(len(one.turns) for one in self.played),
            "seconds": round(self.seconds, 3),
            "results": [_played(one) for one in self.played],
        }


class Commits:
    """Told of each turn that was committed; whoever waits for a conversation's next one gets its
    answer."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}

    def next_of(self, conversation: str) -> "asyncio.Future[dict[str, Any]]":
        future = self._waiting[conversation] = asyncio.get_running_loop().create_future()
        return future

    def told(self, commit: TurnCommit) -> None:
        waits = self._waiting.pop(commit.claim.conversation_id, None)
        if waits is not None and not waits.done():
            waits.set_result(orjson.loads(commit.result))


class Replayer:
    """Over an engine that talks to nobody, whose database is its own, and that tells ``commits``.
    ``store``: where the scripts' pictures are put; None: pictures are not looked at."""

    def __init__(
        self,
        engine: Engine,
        database: Database,
        store: PictureStore | None,
        commits: Commits,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine, self._database, self._store = engine, database, store
        self._commits, self._clock, self._numbers = commits, clock, itertools.count(1)

    async def play_all(
        self, scripts: Sequence[ReadScript], told: Callable[[Played], None] = lambda _one: None
    ) -> Report:
        """``told`` of each one that ended."""
        report, began = Report(), time.perf_counter()
        for script in scripts:
            played = await self.play(script)
            report.played.append(played)
            told(played)
        report.seconds = time.perf_counter() - began
        return report

    async def play(self, read: ReadScript) -> Played:
        """As a customer whom nobody has seen before."""
        began, turns, error = time.perf_counter(), [], ""
        speaker = f"r{next(self._numbers)}"
        await self._know(speaker, read.script.customer)
        try:
            for at, step in enumerate(read.script.turns):
                turns.append(await self._turn(read, step, speaker, at))
        except (KefuError, OSError) as problem:
            error = str(problem)
        seconds = time.perf_counter() - began
        return Played(read.file, read.line, read.name, tuple(turns), seconds, error)

    async def _turn(self, read: ReadScript, step: Step, speaker: str, at: int) -> PlayedTurn:
        attachments = [await self._picture(read, image) for image in step.images]
        message = InboundMessage(
            channel=CHANNEL,
            account=ACCOUNT,
            channel_message_id=f"{speaker}:{at}",
            chat_id=speaker,
            sender_id=speaker,
            text=step.text,
            sender_name=read.script.customer.name,
            attachments=tuple(attachments),
            sent_at=self._clock(),
        )
        if step.approve is not None:
            answer = await self._approved(read, message.conversation, step.approve)
        else:
            answer = await self._engine.ask(message, deadline_s=TURN_S)
        found = failures(step.expect, answer) if step.expect is not None else []
        said = step.text if step.approve is None else f"（审批：{step.approve}）"
        return PlayedTurn(read.lines[at], said, answer, tuple(found))

    async def _approved(
        self, read: ReadScript, conversation: str, word: float | str
    ) -> dict[str, Any]:
        """The answer of the turn that goes on with a person's word on the quote that waits."""
        waiting = await self._database.read(
            lambda c: approvals.listed(c, status="pending", limit=100, offset=0)
        )
        found = [one["id"] for one in waiting if one["conversation_id"] == conversation]
        if not found:
            raise NothingToApprove(read.file)
        verdict = {"yes": Verdict.APPROVED, "no": Verdict.REJECTED}.get(str(word), Verdict.EDITED)
        total = round(float(word) * 100) if verdict is Verdict.EDITED else None
        answered = self._commits.next_of(conversation)
        await self._engine.decide_approval(found[0], verdict, by="script", total=total)
        async with asyncio.timeout(TURN_S):
            return await answered

    async def _know(self, speaker: str, customer: Customer) -> None:
        values = customer.model_dump() | {
            "contact": contact_id(CHANNEL, ACCOUNT, speaker),
            "at": iso(self._clock()),
        }

        def unit(connection: Connection) -> None:
            connection.execute(_KNOWN, values)

        await self._database.write(unit)

    async def _picture(self, read: ReadScript, image: str) -> Attachment:
        """Files beside the script are put where pictures are kept."""
        if image.startswith(_SCHEMES) or self._store is None:
            return Attachment("image", image)
        stored = await self._store.put(_beside(read, image))
        return Attachment("image", f"{PREFIX}{stored.sha256}")


def _beside(read: ReadScript, image: str) -> bytes:
    folder = read.folder.resolve()
    path = (folder / image).resolve()
    if not path.is_relative_to(folder):
        raise PictureMissing(read.file, image, "只能是剧本所在文件夹里的文件")
    if not path.is_file():
        raise PictureMissing(read.file, image, "没有这个文件")
    if path.stat().st_size > MAX_PICTURE_BYTES:
        raise PictureMissing(read.file, image, "图片太大")
    return Path(path).read_bytes()


class NothingToApprove(KefuError):
    """The script in ``file`` has a word on a quote where none waits for one."""

    def __init__(self, file: str) -> None:
        self.file = file
        super().__init__(f"{file}: 没有等待审批的报价，approve 无从谈起")


class PictureMissing(KefuError):
    """The script in ``file`` shows an ``image`` that cannot be used."""

    def __init__(self, file: str, image: str, reason: str) -> None:
        self.file, self.image, self.reason = file, image, reason
        super().__init__(f"{file}: 图片 {image!r}：{reason}")


def _played(one: Played) -> dict[str, Any]:
    return {
        "file": one.file,
        "line": one.line,
        "name": one.name,
        "passed": one.passed,
        "seconds": round(one.seconds, 3),
        "error": one.error or None,
        "turns": [turn_json(turn) for turn in one.turns],
    }


def turn_json(turn: PlayedTurn) -> dict[str, Any]:
    return {
        "line": turn.line,
        "said": turn.said,
        "answer": answer_json(turn.answer),
        "failures": [
            {"check": one.check, "wanted": one.wanted, "got": one.got} for one in turn.failures
        ],
    }


def answer_json(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What of an answer can be expected, and nothing else."""
    quote = answer.get("quote")
    return {
        "action": answer["action"],
        "decision": answer["decision"],
        "intent": answer["intent"],
        "content": answer["content"],
        "confidence": answer["confidence"],
        "evidence": list(_entries(answer)),
        "quote": quote["total"] if quote else None,
        "handoff": handoff_of(answer),
        "nodes": list(answer.get("nodes") or ()),
    }


def _entries(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for entry in stands_on(answer):
        yield {name: entry[name] for name in ("id", "question", "source", "score")}
