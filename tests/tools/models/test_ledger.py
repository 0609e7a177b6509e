"""The day that a token budget is counted by."""

from datetime import UTC, datetime

import pytest

from tools.models.ledger import start_of_day


@pytest.mark.parametrize(
    ("now", "began"),
    [
        # Beijing is eight hours ahead: its day begins at 16:00 UTC.
        ("2026-11-20T15:59:59", "2026-11-19T16:00:00"),
        ("2026-11-20T16:00:00", "2026-11-20T16:00:00"),
        ("2026-11-21T03:00:00", "2026-11-20T16:00:00"),
    ],
)
def test_the_day_begins_at_midnight_in_beijing(now: str, began: str) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp()
    assert datetime.fromtimestamp(start_of_day(moment), UTC).isoformat() == began + "+00:00"
