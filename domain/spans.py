"""What takes how long, and inside of what: spans, for whoever wants to see them.

Code marks what it does with `span`; where nobody traces that costs the look at one variable. Who
traces (`engine.tracing`) opens the outermost span, and all that happens inside of it finds its
place there, over tasks too.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import TracebackType
from typing import Literal, Protocol

Value = str | int | float | bool | Sequence[str]
Kind = Literal["internal", "client", "server", "producer"]
Said = tuple[str, str]
"""Who says it (system, user, assistant), and what."""


class Span(Protocol):
    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits; empty where nothing is traced."""

    def note(self, values: Mapping[str, Value]) -> None:
        """Facts, never words of a customer: they leave as they are."""

    def say(self, name: str, words: Iterable[Said], names: Sequence[str] = ()) -> None:
        """Words, which leave only if that is wanted, and without personal data. ``names``: what
        the customer is called."""

    def failed(self, kind: str) -> None:
        """``kind``: what kind of error, not its text."""

    def child(
        self, name: str, values: Mapping[str, Value], kind: Kind
    ) -> "AbstractContextManager[Span]": ...


class Untraced:
    """The span that nobody looks at."""

    trace_id = ""

    def note(self, values: Mapping[str, Value]) -> None:
        return None

    def say(self, name: str, words: Iterable[Said], names: Sequence[str] = ()) -> None:
        return None

    def failed(self, kind: str) -> None:
        return None

    def child(
        self, name: str, values: Mapping[str, Value], kind: Kind
    ) -> "AbstractContextManager[Span]":
        return _NOWHERE

    def __enter__(self) -> Span:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


UNTRACED = Untraced()
_NOWHERE: AbstractContextManager[Span] = UNTRACED
current: ContextVar[Span] = ContextVar("span", default=UNTRACED)
"""The innermost span of what runs now."""
_NONE: Mapping[str, Value] = {}


def span(
    name: str, values: Mapping[str, Value] = _NONE, kind: Kind = "internal"
) -> AbstractContextManager[Span]:
    """A part of what is traced now, if anything is; an error that leaves it is noted, by its
    kind."""
    return current.get().child(name, values, kind)
