"""Rules over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from api.fields import Identifier, OptionalText, WithoutNul
from domain.rules import MAX_FILE_CHARS, RuleSet
from engine.rules.book import RuleBook
from engine.rules.dry_run import DryRunWanted
from storage.clock import iso
from storage.rules import PastWanted, RuleVersion

MAX_DAYS = 366
Content = Annotated[str, Field(min_length=1, max_length=MAX_FILE_CHARS), WithoutNul]
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]
Note = Annotated[OptionalText, Field(max_length=200), WithoutNul]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RulesText(_In):
    """``content``: YAML as in the rules file."""

    content: Content


class RulesIn(RulesText):
    """``version``: the one that was edited; if it is not the newest any more, nothing is done."""

    version: Version
    note: Note = ""


class RevertIn(_In):
    """``version``: the one in use now."""

    version: Version


class DryRunIn(_In):
    """``content``: the rules to try; left out: those in use. The period ends at ``until``, now if
    left out, and begins at ``since``, a week before. ``limit``: messages that are read at most."""

    content: Content | None = None
    since: datetime | None = None
    until: datetime | None = None
    channel: Identifier | None = None
    account: Identifier | None = None
    limit: Annotated[int, Field(ge=1, le=100_000)] = 20_000
    examples: Annotated[int, Field(ge=0, le=20)] = 5

    @model_validator(mode="after")
    def _is_a_period(self) -> Self:
        since, until = self.period()
        if not timedelta() < until - since <= timedelta(days=MAX_DAYS):
            raise PydanticCustomError(
                "period", f"since 应早于 until,最多 {MAX_DAYS} 天", {"field": "since"}
            )
        return self

    def period(self) -> tuple[datetime, datetime]:
        until = _aware(self.until or datetime.now(UTC))
        week = timedelta(days=7)
        floor = datetime(1971, 1, 1, tzinfo=UTC)
        return _aware(self.since or max(until, floor + week) - week), until

    def wanted(self) -> DryRunWanted:
        since, until = self.period()
        past = PastWanted(
            since.timestamp(), until.timestamp(), self.channel or "", self.account or ""
        )
        return DryRunWanted(past, self.limit, self.examples)


def _aware(moment: datetime) -> datetime:
    """Without an offset it is UTC."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


class VersionOut(BaseModel):
    """``source``: default, file, api or revert."""

    version: int
    source: str
    author: str
    note: str
    fingerprint: str
    at: str


class RuleOut(BaseModel):
    """``fired``, ``failed``: in the last seven days; ``kind``: words or trigger."""

    id: str
    name: str
    kind: Literal["words", "trigger"]
    stage: str
    enabled: bool
    priority: Any
    does: list[str]
    fired: int
    failed: int
    last_at: str | None


class RefusedOut(BaseModel):
    at: str
    field: str
    reason: str
    version: int | None


class RulesOut(VersionOut):
    content: str
    file: str | None
    refused: RefusedOut | None
    rules: list[RuleOut]


class VersionList(BaseModel):
    items: list[VersionOut]
    next: int | None


class VersionContent(VersionOut):
    content: str


class Checked(BaseModel):
    fingerprint: str
    changed: bool
    rules: list[RuleOut]


def shown_rules(rules: RuleSet, counts: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    none = {"fired": 0, "failed": 0, "last_at": None}
    words = [
        {
            "id": entry.id or entry.category,
            "name": entry.category,
            "kind": "words",
            "stage": "any",
            "enabled": entry.enabled,
            "priority": entry.priority,
            "does": [entry.action],
        }
        for entry in rules.file.rules
    ]
    triggers = [
        {
            "id": one.id,
            "name": one.name,
            "kind": "trigger",
            "stage": one.stage,
            "enabled": one.enabled,
            "priority": one.priority,
            "does": [step.tool or step.kind for step in one.then],
        }
        for one in rules.file.triggers
    ]
    return [one | counts.get(str(one["id"]), none) for one in [*words, *triggers]]


def shown_book(book: RuleBook, counts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    refused = book.refused
    return {
        **shown_version(book.version),
        "file": str(book.file) if book.file is not None else None,
        "refused": refused
        and {
            "at": iso(refused.at),
            "field": refused.field,
            "reason": refused.reason,
            "version": refused.version,
        },
        "rules": shown_rules(book.rules, counts),
    }


def shown_version(version: RuleVersion) -> dict[str, Any]:
    return {**version.shown(), "content": version.content}
