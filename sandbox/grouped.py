"""What a peer was sent, also by the group that it belongs to: a chat, a task."""

from collections import deque
from collections.abc import Collection
from typing import Any

from pydantic import BaseModel

from sandbox.changes import Changes
from sandbox.received import Received, ReceivedLog


class GroupedLog(ReceivedLog):
    def __init__(self, max_items: int, changes: Changes) -> None:
        super().__init__(max_items, changes)
        self._groups: dict[str, deque[Received]] = {}
        self._group_of_each: deque[str] = deque()

    def put(
        self, item_id: str, item: BaseModel, at: float, *, group: str
    ) -> tuple[bool, list[Received]]:
        """Whether it was there before, and what was dropped to make room."""
        received, duplicate = self.add(item_id, item, at)
        if not duplicate:
            self._groups.setdefault(group, deque()).append(received)
            self._group_of_each.append(group)
        gone = self.trim()
        for _ in gone:
            self._forget_oldest()
        return duplicate, gone

    def _forget_oldest(self) -> None:
        """The oldest of all is also the oldest of its group."""
        group = self._group_of_each.popleft()
        self._groups[group].popleft()
        if not self._groups[group]:
            del self._groups[group]

    @property
    def groups(self) -> int:
        return len(self._groups)

    def of(self, group: str) -> Collection[Received]:
        return self._groups.get(group, ())

    def clear(self) -> None:
        super().clear()
        self._groups.clear()
        self._group_of_each.clear()


class ChatLog(GroupedLog):
    """Messages that customers were shown. `chats` and `chat` are endpoints."""

    async def chats(self) -> dict[str, Any]:
        """All chats with their number of messages."""
        chats = [{"chat_id": name, "messages": len(log)} for name, log in self._groups.items()]
        return {"chats": chats, "dropped": self.dropped}

    async def chat(self, chat_id: str, at_least: int = 0, wait: float = 0.0) -> dict[str, Any]:
        """A chat's messages in the order in which the customer saw them."""
        await self.changes.until(lambda: len(self.of(chat_id)) >= at_least, wait)
        return {
            "chat_id": chat_id,
            "messages": [received.as_dict() for received in self.of(chat_id)],
        }
