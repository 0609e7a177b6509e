"""One line on what was wrong with a request."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError


def problem(errors: Sequence[Any], *, skip: int = 0) -> str:
    """The first of pydantic's errors as ``field: reason``; ``skip`` drops outer path parts."""
    if not errors:
        return "invalid request"
    first = errors[0]
    place = ".".join(str(part) for part in first["loc"][skip:])
    return f"{place}: {first['msg']}" if place else str(first["msg"])


def first_problem(error: ValidationError) -> str:
    return problem(error.errors(include_url=False, include_input=False))
