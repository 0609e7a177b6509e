"""Quick ones. A module of their own, so that a process which is to be killed starts quickly."""

from zoneinfo import ZoneInfo

from engine.dispatch_steps import DispatchPolicy
from engine.policy import EnginePolicy
from storage.tasks import TaskBook

BOOK = TaskBook(ZoneInfo("Asia/Shanghai"), callbacks=False)
POLICY = DispatchPolicy(
    frozenset({"webhook", "staff"}),
    lease_s=5.0,
    wait_s=0.05,
    watch_s=0.05,
    watch_max_s=0.05,
    retry_base_s=0.02,
    retry_max_s=0.1,
    sla_s=0.0,
)
QUICK_OUTBOX = EnginePolicy(lease_s=2.0, outbox_backoff_base_s=0.02, outbox_backoff_max_s=0.1)
