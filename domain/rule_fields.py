"""Fields in the texts of a rule's actions: ``{{customer.name}}``. What a customer wrote is none of
them, so nobody can say something through a rule; values are never read for fields again."""

from collections.abc import Mapping
from typing import Any

from domain import message_fields
from domain.errors import InvalidInput
from domain.messages import MAX_ID_CHARS, MAX_NAME_CHARS

LONGEST: Mapping[str, int] = {
    "customer.name": MAX_NAME_CHARS,
    "customer.contact": 3 * MAX_ID_CHARS,
    "customer.level": 8,
    "customer.state": 16,
    "conversation.id": MAX_NAME_CHARS,
    "channel": MAX_NAME_CHARS,
    "account": MAX_NAME_CHARS,
    "rule.id": 64,
    "rule.name": 60,
    "rule.word": 60,
    "time": 32,
}
KNOWN = frozenset(LONGEST)


def checked(arguments: Mapping[str, Any]) -> None:
    """Raises ValueError with the path of the first text that cannot be filled."""
    try:
        message_fields.check(arguments, KNOWN)
    except InvalidInput as error:
        raise ValueError(f"{error.field}: {error.reason}") from None


def longest_values() -> dict[str, str]:
    """For each field a value as long and as odd as it gets: arguments that are valid with these
    are valid with any."""
    return {name: "{{" + "字" * max(size - 2, 0) for name, size in LONGEST.items()}
