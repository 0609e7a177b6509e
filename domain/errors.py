"""One error root; a subclass carries its facts and says what to do next.

KefuError
├── ConfigurationError      the operator must change a setting
├── InvalidInput            the caller must change the request
│   └── NotFound
├── StorageError            the database refused or is away
│   └── StaleTurn           another process has taken the turn over: drop the work
│       └── TaskTaken       another message has fired the task that this turn acts for
├── PeerError               a remote system failed
│   ├── PeerUnavailable     try again later
│   └── PeerRejected        trying again will not help
├── ModelsExhausted         every model provider failed: fall back to knowledge
└── KnowledgeError          a document or the index cannot be used
"""


class KefuError(Exception):
    """Root of every error that we raise on purpose."""


class ConfigurationError(KefuError):
    """``variable`` is wrong for ``reason``; ``expected`` says what would be right."""

    def __init__(self, variable: str, reason: str, expected: str) -> None:
        self.variable, self.reason, self.expected = variable, reason, expected
        super().__init__(f"{variable}: {reason}; expected {expected}")


class InvalidInput(KefuError):
    """``field`` (dotted path) of the request is unusable; ``reason`` is shown to the caller."""

    def __init__(self, field: str, reason: str, *, status: int = 422) -> None:
        self.field, self.reason, self.status = field, reason, status
        super().__init__(f"{field}: {reason}")


class NotFound(InvalidInput):
    def __init__(self, field: str, identifier: str) -> None:
        self.identifier = identifier
        super().__init__(field, f"找不到 {identifier!r}", status=404)


class StorageError(KefuError):
    """The database refused or is away."""


class StaleTurn(StorageError):
    """The lease of ``conversation_id`` is no longer ours: nothing may be committed."""

    def __init__(self, conversation_id: str, fence: int) -> None:
        self.conversation_id, self.fence = conversation_id, fence
        super().__init__(f"turn {fence} of {conversation_id!r} was taken over; its work is dropped")


class TaskTaken(StaleTurn):
    """``task_id`` is not pending any more: the turn is run anew, without it."""

    def __init__(self, task_id: str, conversation_id: str) -> None:
        super().__init__(conversation_id, 0)
        self.task_id = task_id


class PeerError(KefuError):
    """``peer`` failed with ``reason``; ``status`` is its HTTP status where it gave one."""

    def __init__(self, peer: str, reason: str, *, status: int | None = None) -> None:
        self.peer, self.reason, self.status = peer, reason, status
        super().__init__(f"{peer}: {reason}" + (f" (HTTP {status})" if status else ""))


class PeerUnavailable(PeerError):
    """Time-out, refused connection, 429 or 5xx: the same call may succeed later.

    ``retry_after``: seconds the peer asked us to wait, where it did.
    """

    def __init__(
        self, peer: str, reason: str, *, status: int | None = None, retry_after: float | None = None
    ) -> None:
        self.retry_after = retry_after
        super().__init__(peer, reason, status=status)


class PeerRejected(PeerError):
    """The peer understood and refused: the same call will fail again."""


class KnowledgeError(KefuError):
    """``source`` cannot be imported or searched because of ``reason``."""

    def __init__(self, source: str, reason: str) -> None:
        self.source, self.reason = source, reason
        super().__init__(f"{source}: {reason}")
