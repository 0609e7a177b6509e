"""Messages with neither id nor time: the same content soon after is the same message."""

from domain.messages import InboundMessage
from tools.qingjian.recent import MAX_REMEMBERED, SAME_WITHIN_S, RecentMessages


def identifier(recent: RecentMessages, now: float, content: str = "h_1") -> str:
    message = InboundMessage("qingjian", "s", content, "c", "c", "好的")
    return recent.told_apart(message, now=now).channel_message_id


def test_the_same_content_soon_again_is_the_same_message_and_later_a_new_one() -> None:
    recent = RecentMessages()
    first = identifier(recent, 1_000.0)
    assert identifier(recent, 1_000.0 + SAME_WITHIN_S) == first
    assert identifier(recent, 1_000.0 + 2 * SAME_WITHIN_S) == first
    assert identifier(recent, 1_001.0 + 3 * SAME_WITHIN_S) != first
    assert identifier(recent, 1_000.0, "h_2") != first


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first() -> None:
    recent = RecentMessages()
    first = identifier(recent, 1_000.0)
    for number in range(MAX_REMEMBERED):
        identifier(recent, 1_000.0, f"h_x{number}")
    assert identifier(recent, 1_001.0) != first
