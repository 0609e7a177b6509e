"""What a turn needs to know of tasks: which its messages fire, and that they are fired."""

from collections.abc import Callable, Sequence

from engine.tasks.acting import Acting
from engine.tasks.watch import Hit, TaskWatch
from graphs.context import FiredTask
from storage.inbox import Claim
from tools.perform import Act
from tools.registry import Recipient


class TurnTasks:
    """``on_deferred`` is told when an action waits for the task runner."""

    def __init__(self, acting: Acting, watch: TaskWatch, on_deferred: Callable[[], None]) -> None:
        self.acting = acting
        self._watch, self._on_deferred = watch, on_deferred

    async def fired_by(self, claim: Claim, now: float) -> tuple[tuple[FiredTask, ...], str]:
        """The tasks that the claimed messages fire, and what these ask besides."""
        hits = await self._watch.hits(claim)
        if not hits:
            return (), ""
        to = _speaker(claim)
        fired = tuple(
            self.acting.fired_by_message(
                self._watch.row(hit.match.task.task_id),
                hit.match,
                hit.said,
                hit.message.channel_message_id,
                to,
                now,
            )
            for hit in hits
        )
        return fired, _asked_besides(claim, hits)

    def fired(self, acts: Sequence[tuple[FiredTask, Act]]) -> None:
        self.forget([fired.task_id for fired, _ in acts])
        if any(act.deferred or act.again for _, act in acts):
            self._on_deferred()

    def forget(self, task_ids: Sequence[str]) -> None:
        self._watch.forget(task_ids)


def _speaker(claim: Claim) -> Recipient:
    """Whoever wrote is answered in the turn, whether its channel pushes or not."""
    return Recipient(
        conversation_id=claim.conversation_id,
        channel=claim.channel,
        account=claim.account,
        chat_id=claim.chat_id,
        sender_id=claim.sender_id,
        contact_id=claim.contact_id,
        name=claim.customer.name,
    )


def _asked_besides(claim: Claim, hits: Sequence[Hit]) -> str:
    """Of each message what no trigger took: the least that any of its matches leaves."""
    left = {message.row_id: message.text for message in claim.messages}
    for hit in hits:
        rest = hit.match.rest
        if len(rest) < len(left[hit.message.row_id]):
            left[hit.message.row_id] = rest
    return "\n".join(text for text in left.values() if text)
