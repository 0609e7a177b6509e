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

KNOWN_VARIABLE = "KEFU_FUZZ_KNOWN"
_KNOWN: Mapping[str, list[Any]] = json.loads(os.environ.get(KNOWN_VARIABLE, "{}"))


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
    for place in (case.path_parameters, case.query, case.body):
        if isinstance(place, dict):
            _make_known(place)


def _make_known(values: dict[str, Any]) -> None:
    for name in _KNOWN.keys() & values.keys():
        # Chosen by the value itself: the same run makes the same choices.
        chance = zlib.crc32(repr(values[name]).encode())
        if chance % 2:
            values[name] = _KNOWN[name][chance // 2 % len(_KNOWN[name])]
