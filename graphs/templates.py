"""What customers and staff read: wordings with placeholders, from an operator's file."""

import hashlib
import string
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

import yaml
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from domain.errors import ConfigurationError

MAX_WORDING_CHARS = 2_000
_VARIABLE = "KEFU_TEMPLATES_FILE"

_Wording = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_WORDING_CHARS)
]
_File = TypeAdapter(
    dict[str, _Wording | Annotated[list[_Wording], Field(min_length=1, max_length=50)]]
)


@dataclass(frozen=True, slots=True)
class Placeholders:
    """Every wording must use ``required`` and may use ``optional``."""

    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()

    @property
    def known(self) -> frozenset[str]:
        return self.required | self.optional


def _uses(required: str = "", optional: str = "") -> Placeholders:
    return Placeholders(frozenset(required.split()), frozenset(optional.split()))


NAMES: Mapping[str, Placeholders] = MappingProxyType(
    {
        "greeting": _uses(),
        "thanks": _uses(),
        "farewell": _uses(),
        "smalltalk": _uses(),
        "confirm": _uses(),
        "opted_out": _uses(),
        "opted_in": _uses(),
        "campaign_hint": _uses(),
        "clarify_one": _uses("question"),
        "clarify_many": _uses("options"),
        "answer": _uses("answer"),
        "quote": _uses("service items total valid_hours"),
        "quote_estimate": _uses("service total", "items valid_hours"),
        "quote_start": _uses("service total", "items valid_hours"),
        "bargain_accept": _uses("total", "items service valid_hours"),
        "bargain_counter": _uses("service total", "items valid_hours"),
        "bargain_floor": _uses("service total", "items valid_hours"),
        "ask_image": _uses(),
        "ask_service": _uses(),
        "ask_larger_picture": _uses("", "evidence"),
        "ask_sharper_picture": _uses("", "evidence"),
        "ask_readable_picture": _uses("", "evidence"),
        "ask_other_picture": _uses("", "evidence"),
        "ask_animation": _uses("", "evidence"),
        "ask_deadline": _uses("", "evidence"),
        "ask_order_no": _uses(),
        "handoff": _uses(),
        "handoff_complaint": _uses(),
        "handoff_sensitive": _uses(),
        "handoff_low_confidence": _uses(),
        "handoff_negative": _uses(),
        "handoff_document": _uses(),
        "handoff_mark": _uses(),
        "handoff_designer": _uses(),
        "handoff_deadline": _uses(),
        "handoff_value": _uses(),
        "handoff_closed": _uses("opens"),
        "handoff_closed_urgent": _uses("opens"),
        "handoff_again": _uses(),
        "offer_person": _uses(),
        "queue_ahead": _uses("ahead"),
        "queue_next": _uses(),
        "queue_full": _uses("ahead"),
        "queue_closed": _uses("opens"),
        "queue_urgent": _uses(),
        "queue_leave": _uses(),
        "queue_left": _uses(),
        "ask_mark": _uses(),
        "marked": _uses(),
        "marked_low": _uses(),
        "decline_content": _uses(),
        "decline_mark": _uses(),
        "tier_limited": _uses(),
        "greeting_vip": _uses("", "name"),
        "handoff_vip": _uses(),
        "handoff_low_confidence_vip": _uses(),
        "default_sentence": _uses(),
        "pending": _uses(),
        "awaiting_approval": _uses(),
        "order_confirmed": _uses("order", "service price"),
        "order_delivered": _uses("order", "service"),
        "order_to_designer": _uses("", "order service"),
        "order_taken": _uses("service price"),
        "order_amended": _uses("order changes", "service price"),
        "order_offer": _uses(),
        "order_cancelled": _uses("order", "service"),
        "order_accepted": _uses("order", "service"),
        "order_rework": _uses("order", "service"),
        "order_progress": _uses("orders"),
        "ask_which_order": _uses("options"),
        "ask_cancel_order": _uses("order", "service"),
        "dispatch_arranged": _uses(),
        "dispatch_waiting": _uses(),
        "kf_welcome": _uses(),
        "friend_welcome": _uses("", "name"),
        "member_welcome": _uses(),
        "wechat_welcome": _uses(),
        "wechat_voice": _uses(),
        "wechat_unsupported": _uses(),
        "wechat_pending": _uses(),
        "notice_title": _uses("", "reason customer"),
        "notice_text": _uses("customer question reason", "time conversation"),
    }
)


@dataclass(frozen=True, slots=True)
class Templates:
    """Checked wordings, at least one for every name in NAMES."""

    wordings: Mapping[str, tuple[str, ...]]

    @classmethod
    def parse(cls, text: str, defaults: "Templates | None" = None) -> "Templates":
        """Wordings from YAML ``name: wording`` or ``name: [wording, …]``.

        What ``text`` leaves out comes from ``defaults``. Raises ConfigurationError for an unknown
        or missing name, an empty wording, and a placeholder that is missing or unknown.
        """
        given = {name: _checked(name, wordings) for name, wordings in _read(text).items()}
        merged = {**(defaults.wordings if defaults else {}), **given}
        missing = [name for name in NAMES if name not in merged]
        if missing:
            raise ConfigurationError(_VARIABLE, f"{missing[0]!r} is missing", "a wording for it")
        return cls(MappingProxyType(merged))

    def render(self, template: str, /, *, seed: str = "", **fields: object) -> str:
        """The wording of ``template`` that ``seed`` picks (the same one for the same seed).

        Values go in as they are: braces in them mean nothing. An optional field that is not given
        is empty. Raises KeyError for an unknown template and ValueError for fields that do not
        fit it, both being mistakes of the caller.
        """
        placeholders = NAMES[template]
        missing = placeholders.required - fields.keys()
        unknown = fields.keys() - placeholders.known
        if missing or unknown:
            raise ValueError(
                f"fields of {template!r}: missing {sorted(missing)}, unknown {sorted(unknown)}"
            )
        choices = self.wordings[template]
        values = dict.fromkeys(placeholders.optional, "") | {
            name: str(value) for name, value in fields.items()
        }
        return choices[_pick(seed, len(choices))].format_map(values)


def _pick(seed: str, count: int) -> int:
    # hash() differs from process to process, and a replayed turn must say the same.
    digest = hashlib.blake2b(seed.encode("utf-8", "replace"), digest_size=4).digest()
    return int.from_bytes(digest, "big") % count


def _read(text: str) -> dict[str, list[str]]:
    try:
        parsed = _File.validate_python(yaml.safe_load(text) or {})
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line = f" at line {place.line + 1}" if place is not None else ""
        raise ConfigurationError(_VARIABLE, f"is no YAML{line}", "name: wording") from None
    except ValidationError as error:
        detail = error.errors()[0]
        # What follows the name is pydantic's path through the union, not the operator's file.
        name = str(detail["loc"][0]) if detail["loc"] else "the file"
        expected = f"one wording or a list, each of 1 to {MAX_WORDING_CHARS} characters"
        raise ConfigurationError(_VARIABLE, f"{name!r} is not usable", expected) from None
    return {name: [value] if isinstance(value, str) else value for name, value in parsed.items()}


def _checked(name: str, wordings: list[str]) -> tuple[str, ...]:
    if name not in NAMES:
        raise ConfigurationError(_VARIABLE, f"{name!r} is unknown", "one of " + ", ".join(NAMES))
    for number, wording in enumerate(wordings, start=1):
        problem = _problem(wording, NAMES[name])
        if problem:
            known = ", ".join(f"{{{field}}}" for field in sorted(NAMES[name].known)) or "none"
            raise ConfigurationError(
                _VARIABLE, f"wording {number} of {name!r} {problem}", f"placeholders: {known}"
            )
    return tuple(wordings)


def _problem(wording: str, placeholders: Placeholders) -> str:
    """What is wrong with the placeholders of ``wording``; empty if nothing is."""
    try:
        parts = list(string.Formatter().parse(wording))
    except ValueError as error:
        return f"has a stray brace ({error})"
    used: set[str] = set()
    for _, field, spec, conversion in parts:
        if field is None:
            continue
        # Plain names only: {x.y}, {x[0]} and {x:>9} would reach into what they are given.
        if spec or conversion or not field.isidentifier():
            return f"has an unusable placeholder {field!r}"
        used.add(field)
    if used - placeholders.known:
        return f"has an unknown placeholder {min(used - placeholders.known)!r}"
    if placeholders.required - used:
        return f"lacks the placeholder {min(placeholders.required - used)!r}"
    return ""
