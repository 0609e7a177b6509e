"""One call of a tool as the action of a task: what it brought about, or why it did not."""

import logging
from dataclasses import dataclass, field
from typing import Any

from domain.decisions import Effect
from domain.errors import KefuError, PeerUnavailable, StorageError
from tools.registry import ToolCall, ToolRegistry

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Act:
    """``error``: empty if it succeeded; ``again``: trying once more may help. ``deferred``: not
    called yet, the task runner does that."""

    output: dict[str, Any] = field(default_factory=dict)
    effects: tuple[Effect, ...] = ()
    error: str = ""
    again: bool = False
    deferred: bool = False


async def perform(
    registry: ToolRegistry, name: str, arguments: dict[str, Any], call: ToolCall
) -> Act:
    """Never raises but for cancellation: a task has to end with a reason."""
    try:
        outcome = await registry.call(name, arguments, call)
    except (PeerUnavailable, StorageError) as error:
        return Act(error=str(error), again=True)
    except KefuError as error:
        return Act(error=str(error))
    except Exception as error:
        log.exception("tool %s failed in our own code", name)
        return Act(error=f"{type(error).__name__}: {error}", again=True)
    return Act(outcome.output, outcome.effects)
