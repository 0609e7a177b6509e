"""A model's answer on its way to whoever watches: nothing is shown that was not checked."""

import re
from collections.abc import Callable, Sequence

from domain.grounding import Objection, Source, objections

_CLAUSE_END = re.compile(r"[。!?！？;；\n](?=\S)|(?<!\d)[,，](?=\S)|[,，](?=[^\d\s])")


class CheckedStream:
    """Collects pieces and shows them clause by clause, as far as the text so far has ground."""

    def __init__(
        self,
        evidence: Sequence[Source],
        said: Sequence[str],
        secret: str,
        show: Callable[[str], None],
    ) -> None:
        self._evidence, self._said, self._secret = evidence, said, secret
        self._show = show
        self._text, self._shown = "", 0

    def restart(self) -> None:
        self._text, self._shown = "", 0

    def feed(self, piece: str) -> None:
        self._text += piece
        ends = [found.end() for found in _CLAUSE_END.finditer(self._text, self._shown)]
        if ends and not any(_is_lasting(one) for one in self.objections(self._text[: ends[-1]])):
            self._show_to(ends[-1])

    def finish(self, text: str) -> list[Objection]:
        """What speaks against the whole ``text``; shows the rest of it if nothing does."""
        found = self.objections(text)
        if not found:
            self._text = text
            self._show_to(len(text))
        return found

    def objections(self, text: str) -> list[Objection]:
        return objections(text, self._evidence, said=self._said, secret=self._secret)

    def _show_to(self, end: int) -> None:
        if end > self._shown:
            self._show(self._text[self._shown : end])
            self._shown = end


def _is_lasting(objection: Objection) -> bool:
    """A mark may still come; everything else stays wrong."""
    return objection != Objection("citation", "none")
