"""The engine over a database: turns, deliveries and their policies."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from langgraph.checkpoint.base import CheckpointTuple

from domain.lru import ByteLru
from engine.delivery import Channel, Deliverer
from engine.desk_turns import TurnDesk
from engine.engine import Engine
from engine.metrics import Metrics
from engine.notices import NOTICE_CHANNELS
from engine.notices import PATIENCE_S as NOTICE_PATIENCE_S
from engine.orders.turns import TurnOrders
from engine.policy import EnginePolicy
from engine.reviews.records import RecordTurn
from engine.rules.turns import TurnRules
from engine.settings import Settings
from engine.settling import Settling
from engine.tasks.acting import ActingPolicy
from engine.tasks.turns import TurnTasks
from engine.tasks.work import TaskPolicy
from engine.turns import Heard, Turns
from engine.waiting import WaitingRoom
from engine.wakeups import Wakeups
from engine.wechat.build import hold_s
from engine.wecom.build import KF_PATIENCE_S
from engine.wecom.member_channel import PATIENCE_S as MEMBERS_PATIENCE_S
from graphs.context import Services
from graphs.conversation import build_conversation_graph
from storage.checkpoints import RowCheckpointSaver
from storage.database import Database
from storage.kf import CHANNEL as KF
from storage.tasks import CALLBACK_CHANNEL
from storage.turns import TurnCommit
from tools.qingjian.protocol import CHANNEL as QINGJIAN
from tools.wechat.messages import CHANNEL as WECHAT
from tools.wecom.app_inbox import CHANNEL as MEMBERS

QINGJIAN_PATIENCE_S = 7_200.0
"""It runs on somebody's desk: an answer may wait for the end of a lunch break."""


@dataclass(frozen=True, slots=True)
class EngineParts:
    engine: Engine
    turns: Turns
    deliverer: Deliverer

    def wake_queues(self, queues: Sequence[str]) -> None:
        self.engine.wake_queues(queues)


@dataclass(frozen=True, slots=True)
class TaskParts:
    """What of tasks the turns and the deliveries need."""

    turns: TurnTasks
    settling: Settling


def assemble_engine(
    database: Database,
    services: Services,
    channels: Mapping[str, Channel],
    policy: EnginePolicy,
    *,
    owner: str,
    alone: bool,
    wakeups: Wakeups | None = None,
    clock: Callable[[], float] = time.time,
    metrics: Metrics | None = None,
    on_commit: Callable[[TurnCommit], None] | None = None,
    tasks: TaskParts | None = None,
    orders: TurnOrders | None = None,
    desk: TurnDesk | None = None,
    record: RecordTurn | None = None,
    rules: TurnRules | None = None,
    context: ByteLru[str, CheckpointTuple] | None = None,
    heard: Heard | None = None,
) -> EngineParts:
    """The engine over a started database. ``owner`` names this process in leases; ``on_commit`` is
    told of each turn that was committed. ``desk``: None: customers are told no places.
    ``record``: what is kept of a run."""
    metrics, waiting = metrics or Metrics(), WaitingRoom()
    saver = RowCheckpointSaver(database, recent=context)
    deliverer = Deliverer(
        database,
        channels,
        metrics,
        policy,
        owner=owner,
        settles=tasks.settling if tasks else None,
        clock=clock,
    )

    wakeups = wakeups or Wakeups(None, owner=owner, works=True)
    turns = Turns(
        database,
        build_conversation_graph(checkpointer=saver),
        saver,
        services,
        waiting,
        metrics,
        policy,
        owner=owner,
        notices="staff" in channels,
        on_deliveries=lambda queues: engine.wake_queues(queues),
        on_commit=on_commit,
        on_answered=wakeups.answered,
        tasks=tasks.turns if tasks else None,
        orders=orders,
        record=record,
        rules=rules,
        heard=heard,
        desk=desk or TurnDesk(database),
        clock=clock,
    )
    engine = Engine(
        database,
        turns,
        deliverer,
        waiting,
        services.templates,
        metrics,
        policy,
        owner=owner,
        alone=alone,
        wakeups=wakeups,
        clock=clock,
    )
    return EngineParts(engine, turns, deliverer)


def engine_policy(settings: Settings) -> EnginePolicy:
    return EnginePolicy(
        sync_deadline_s=settings.sync_deadline_s,
        turn_timeout_s=settings.turn_timeout_s,
        failure_limit=settings.turn_max_attempts,
        debounce_sync_s=settings.debounce_sync_s,
        debounce_async_s=settings.debounce_async_s,
        debounce_max_s=settings.debounce_max_s,
        debounce_channels=settings.debounce_channels,
        merge_limit=settings.merge_limit,
        lease_s=settings.lease_s,
        sweep_s=settings.sweep_s,
        checkpoints_per_thread=settings.checkpoints_per_thread,
        outbox_max_attempts=settings.outbox_max_attempts,
        outbox_backoff_base_s=settings.outbox_backoff_base_s,
        outbox_backoff_max_s=settings.outbox_backoff_max_s,
        approval_s=settings.approval_hours * 3_600,
        patience_s={
            CALLBACK_CHANNEL: settings.callback_hours * 3_600,
            QINGJIAN: QINGJIAN_PATIENCE_S,
            KF: KF_PATIENCE_S,
            MEMBERS: MEMBERS_PATIENCE_S,
            **dict.fromkeys(NOTICE_CHANNELS, NOTICE_PATIENCE_S),
        },
        passive_s=_passive(settings),
    )


def _passive(settings: Settings) -> dict[str, float]:
    if settings.wechat_token is None:
        return {}
    return {WECHAT: hold_s(settings, settings.wechat_reply_s)}


def task_policy(settings: Settings, channels: frozenset[str]) -> TaskPolicy:
    default = QINGJIAN if QINGJIAN in channels else ""
    acting = ActingPolicy(
        zone=settings.zone(),
        channels=channels,
        channel=settings.task_channel or default,
        account=settings.task_account,
        backoff_base_s=settings.task_backoff_base_s,
        backoff_max_s=settings.outbox_backoff_max_s,
    )
    return TaskPolicy(
        acting,
        callbacks=CALLBACK_CHANNEL in channels,
        late_s=settings.task_late_s,
        lease_s=settings.lease_s,
    )
