"""What a question needs of the talk before it, told from the annotations of public dialogues.

Only what was said before the question and not in it counts, and nothing is told by our own
extraction of names: needs come from who made the data.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

_SPACES = re.compile(r"\s+")
_ORDER = re.compile(r"ORDERID_\d+")
_NO_VALUE = frozenset({"", "是", "否", "无", "none", "有", "没有"})
_TELLS = frozenset({"Inform", "Recommend"})
_NAME, _SOURCE = "名称", "源领域"


@dataclass
class Question:
    """``needs``: values with why: reply, referent or belief. ``answer``: what was answered."""

    text: str
    answer: str
    needs: dict[str, str] = field(default_factory=dict)


def folded(text: str) -> str:
    return _SPACES.sub("", unicodedata.normalize("NFKC", text)).lower()


def holds(prompt: str, value: str) -> bool:
    """Whether ``value``, or each of its words, stands in ``prompt``."""
    plain = folded(prompt)
    return folded(value) in plain or all(
        folded(word) in plain for word in re.split(r"[\s.]+", value)
    )


def crosswoz(dialogue: dict[str, Any], *, everything: bool = False) -> list[Question]:
    """Needed are

    - reply: what the system's next turn names, unless it is what the question asks for (the answer
      comes from knowledge, not from the talk);
    - referent: the thing of the domain whose properties are asked for, as last named by either;
    - belief: constraints in force of a domain that is searched in, unless the question sets them
      anew.

    ``everything``: any value of the next turn, and the whole belief state of each domain that the
    question is about.
    """
    turns, found = dialogue["turns"], []
    said, current = "", dict[str, list[str]]()
    for asked, answer in zip(turns[::2], turns[1::2], strict=False):
        wanted = _reply(asked, answer, everything=everything)
        wanted |= dict.fromkeys(_referents(asked, current), "referent")
        wanted |= {
            value: "belief"
            for value in _belief(asked, answer, everything=everything)
            if value not in wanted
        }
        here = folded(asked["text"])
        needs = {
            v: why for v, why in wanted.items() if _was_said(v, said) and folded(v) not in here
        }
        found.append(Question(asked["text"], answer["text"], needs))
        for turn in (asked, answer):
            current |= _names(turn)
            said += folded(turn["text"]) + "\n"
    return found


def _reply(asked: dict[str, Any], answer: dict[str, Any], *, everything: bool) -> dict[str, str]:
    requested = {(a[1], a[2]) for a in asked["acts"] if a[0] == "Request" and a[2] != _NAME}
    return {
        value: "reply"
        for act, domain, slot, value in answer["acts"]
        if act in _TELLS and (everything or (domain, slot) not in requested)
    }


def _referents(asked: dict[str, Any], current: dict[str, list[str]]) -> Iterator[str]:
    for act, domain, slot, value in asked["acts"]:
        if act == "Request" and slot != _NAME:
            yield from current.get(domain, ())
        elif act == "Select" and slot == _SOURCE:
            yield from current.get(value, ())


def _belief(asked: dict[str, Any], answer: dict[str, Any], *, everything: bool) -> Iterator[str]:
    searched = {a[1] for a in asked["acts"] if a[0] == "Select"}
    searched |= {a[1] for a in asked["acts"] if a[0] == "Request" and (everything or a[2] == _NAME)}
    anew = {(a[1], a[2].split("-")[0]) for a in asked["acts"] if a[0] == "Inform"}
    for key, values in answer.get("state", {}).items():
        domain, slot = key.split("-", 1)
        if domain in searched and (everything or (domain, slot) not in anew):
            yield from values.split(" ")


def _was_said(value: str, said: str) -> bool:
    return value not in _NO_VALUE and len(folded(value)) > 1 and folded(value) in said


def _names(turn: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for act, domain, slot, value in turn["acts"]:
        if slot == _NAME and act in _TELLS and value not in _NO_VALUE:
            found.setdefault(domain, []).append(value)
    return found


def rewritten(context: Sequence[str], current: str, whole: str) -> list[str]:
    """What a person had to add to ``current`` from ``context`` to make it understood alone."""
    said = [folded(one) for one in context]
    return list(_shared(folded(whole), said, folded(current)))


def order_under_discussion(context: Sequence[str], current: str) -> list[str]:
    """The order number (anonymised by the data's makers) that was named last."""
    named = [number for one in context for number in _ORDER.findall(one)]
    return [number for number in named[-1:] if number not in current]


def _shared(text: str, said: Sequence[str], without: str) -> Iterator[str]:
    """Longest runs of ``text``, left to right, that ``said`` has and ``without`` has not."""
    at, least = 0, 2
    while at <= len(text) - least:
        end = at
        while end < len(text) and any(text[at : end + 1] in one for one in said):
            end += 1
        run = text[at:end].strip(",。!?;:、")
        if len(run) >= least and run not in without:
            yield run
            at = end
        else:
            at += 1
