"""The customer's part of what a model writes, piece by piece."""

import re

_OPEN, _CLOSE = "<think>", "</think>"
_FENCE = re.compile(r"^```(?:json)?\s*(.*?)\s*```$", re.DOTALL | re.IGNORECASE)


class AnswerText:
    """Drops a leading ``<think>`` block and blank edges, without holding back more than it must.

    Self-hosted reasoning models write their thoughts into the content; no customer may see them.
    """

    def __init__(self) -> None:
        self._held = ""
        self._begun = False
        self._shown: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._shown)

    def feed(self, piece: str) -> str:
        """What may be shown now."""
        self._held += piece
        if not self._begun:
            self._begin()
        if not self._begun:
            return ""
        shown = self._held.rstrip()
        self._held = self._held[len(shown) :]
        if shown:
            self._shown.append(shown)
        return shown

    def finish(self) -> str:
        """What was held back in case it became a ``<think>``: an answer may begin with ``<``."""
        if self._begun or self._held.lstrip().startswith(_OPEN):
            return ""
        self._begun = True
        self._held = self._held.lstrip()
        return self.feed("")

    def _begin(self) -> None:
        start = self._held.lstrip()
        if start.startswith(_OPEN):
            _, closed, rest = start.partition(_CLOSE)
            self._held = rest.lstrip() if closed else self._held
            self._begun = bool(closed and self._held)
            return
        self._begun = bool(start) and not _OPEN.startswith(start)
        self._held = start if self._begun else self._held


def without_fence(text: str) -> str:
    """JSON out of the Markdown fence that some models put around it."""
    match = _FENCE.match(text)
    return match.group(1) if match else text
