"""How long a session lives, at each border to the second."""

import pytest

from domain.sessions import ENDS, EXPIRED_S, Life, life_of
from storage.turns import SESSION_PAUSE_S


@pytest.mark.parametrize(
    ("silent_s", "life"),
    [
        (-2.0, Life.ACTIVE),  # the peer's clock runs ahead of ours
        (0.0, Life.ACTIVE),
        (299.9, Life.ACTIVE),  # under 5 minutes
        (300.0, Life.IDLE),  # 5 × 60
        (899.9, Life.IDLE),
        (900.0, Life.DORMANT),  # 15 × 60
        (1_800.0, Life.DORMANT),  # 30 × 60: «more than 30 minutes» is not yet reached
        (1_800.1, Life.EXPIRED),
        (8_640_000.0, Life.EXPIRED),
    ],
)
def test_a_session_ages_by_the_time_since_its_last_message(silent_s: float, life: Life) -> None:
    assert life_of(silent_s) is life


def test_an_expired_session_is_one_that_the_next_message_does_not_continue() -> None:
    assert EXPIRED_S == SESSION_PAUSE_S
    assert max(ENDS.values()) == EXPIRED_S
