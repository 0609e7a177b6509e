"""Messages that say neither which one they are nor when they were written."""

from collections import OrderedDict
from dataclasses import replace

from domain.messages import InboundMessage

SAME_WITHIN_S = 10.0
MAX_REMEMBERED = 10_000


class RecentMessages:
    """The same content of the same sender within ``SAME_WITHIN_S`` of its last coming is the same
    message come again; later it is a new one.

    Memory of this process: a repetition after a restart, or at another process, is not recognised.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def told_apart(self, message: InboundMessage, *, now: float) -> InboundMessage:
        """``message`` under an id of its own; ``now``: seconds since the epoch."""
        content = message.channel_message_id
        last, identifier = self._seen.pop(content, (0.0, ""))
        if now - last > SAME_WITHIN_S:
            identifier = f"{content}_{int(now * 1000):x}"
        self._seen[content] = (now, identifier)
        while len(self._seen) > MAX_REMEMBERED:
            self._seen.popitem(last=False)
        return replace(message, channel_message_id=identifier)
