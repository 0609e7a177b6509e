"""Loaded by Schemathesis before it runs (``SCHEMATHESIS_HOOKS``)."""

import json
import os
import zlib
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import hypothesis_jsonschema._from_schema as from_schema
import schemathesis
from hypothesis.internal.conjecture.utils import many

_KNOWN: Mapping[str, list[Any]] = json.loads(os.environ.get("KEFU_FUZZ_KNOWN", "{}"))
_IDS = {name: ids for name, ids in _KNOWN.items() if name != "name"}
"""A tool is called by its name; in a query or a body a name is anybody's."""


class Many:
    """Hypothesis's ``many`` as hypothesis-jsonschema 0.23.1 uses it, with ``more()``.

    Hypothesis made it a context manager to be iterated over (6.170), and the other has not
    followed: without this no object can be generated.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._many = many(*arguments, **options)
        self._elements = iter(self._many.__enter__())

    def more(self) -> bool:
        try:
            next(self._elements)
        except StopIteration:
            self._many.__exit__(None)
            return False
        return True

    def reject(self) -> None:
        self._many.reject()


if not hasattr(many, "more"):
    vars(from_schema)["cu"] = SimpleNamespace(many=Many)


@schemathesis.hook
def before_call(
    context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]
) -> None:
    """Half of the made-up ids become ids of rows that exist, lest everything end in a 404."""
    _make_known(case.path_parameters, _KNOWN)
    for place in (case.query, case.body):
        _make_known(place, _IDS)
    if isinstance(case.body, dict) and "customer_id" in _IDS:
        _make_agree(case.body)
    if isinstance(case.headers, Mapping) and _chance(case.body) % 2:
        # One key for all boundary cases would have all but the first refused as another call.
        case.headers.pop("Idempotency-Key", None)


def _chance(value: object) -> int:
    """Made from the value itself: the same run makes the same choices."""
    return zlib.crc32(repr(value).encode())


def _make_known(place: object, known: Mapping[str, list[Any]]) -> None:
    if not isinstance(place, dict):
        return
    for name, value in place.items():
        _make_known(value, known)
        chance = _chance(value)
        if name in known and chance % 2:
            place[name] = known[name][chance // 2 % len(known[name])]


def _make_agree(task: dict[str, Any]) -> None:
    """A task has one customer, often one that exists, named twice; and an id of its own."""
    customer, trigger, chance = task.get("customer"), task.get("trigger"), _chance(task)
    if not (isinstance(customer, dict) and isinstance(trigger, dict) and chance % 4):
        return
    customer["id"] = _IDS["customer_id"][chance % len(_IDS["customer_id"])]
    task["task_id"] = f"FUZZ_{chance}"
    if "customer_id" in trigger:
        trigger["customer_id"] = customer["id"]
