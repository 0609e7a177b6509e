"""One run with WeChat customer service: customers write, WeCom and the network do what they can,
and a process of the deployment is killed or restarted again and again."""

import contextlib
import random
import time
from collections import Counter
from pathlib import Path

import httpx

from tests.crash.deployment import DatabaseKind, Deployment, Progress, Shape, running_deployment
from tests.crash.kf_records import SEND, KfRecords, Look, kf_problems, read_kf_records
from tests.crash.kf_storm import PEER, Storm
from tests.crash.records import Verdict
from tests.sandbox_server import JsonObject, SandboxServer, running_sandbox
from tests.service import Service

RESTART_SHARE = 0.2
DEAD_SHARE = 0.4
"""Of the messages between two kills, those that may be written before the process is back."""
QUIET_S = 240.0
SETTINGS = {"KEFU_WECOM_KF_HAND_OVER": "desk"}
"""In the pool, where nobody takes them, most customers would soon get no answer any more."""
SETTLED_S = 1.0
_DUPLICATES = 'outcome="duplicate"'


class Recognised:
    """Messages and events that a process has read again and taken for what they are: added up
    before each of its ends."""

    def __init__(self) -> None:
        self.count = 0.0

    def add(self, service: Service) -> None:
        with contextlib.suppress(httpx.TransportError):
            found = httpx.get(f"{service.url}/metrics", timeout=2.0, trust_env=False).text
            self.count += sum(
                float(line.rpartition(" ")[2])
                for line in found.splitlines()
                if line.startswith("kefu_kf_messages_total{") and _DUPLICATES in line
            )


def run_kf(
    kind: DatabaseKind,
    folder: Path,
    *,
    kills: int,
    seed: int,
    progress: Progress,
    customers: int = 50,
    messages: int = 1_000,
    patient: bool = True,
    shape: Shape | None = None,
) -> Verdict:
    """``patient``: also with what costs a minute: rate limits, and bells that nobody rings again.
    Otherwise a bell rings at the end."""
    started, recognised = time.monotonic(), Recognised()
    extra = ["--seed", str(seed)]
    with running_sandbox(journal_file=folder / "journal.jsonl", extra=extra) as sandbox:
        storm = Storm(sandbox, seed + 1, customers=customers, messages=messages)
        storm.say_stale()
        with running_deployment(kind, folder, sandbox, SETTINGS, shape=shape) as deployment:
            storm.let_loose([one.url for one in deployment.services], patient=patient)

            def while_dead() -> None:
                storm.go_on((deployment.kills + DEAD_SHARE) / (kills + 1))

            def back(shown: str) -> None:
                storm.go_on((deployment.kills + 1) / (kills + 1))
                progress(shown)

            storm.go_on(1 / (kills + 1))
            deployment.kill_at_random(
                kills,
                random.Random(seed),
                back,
                while_dead,
                before=recognised.add,
                restart_share=RESTART_SHARE,
            )
            storm.finish()
            progress("waiting until all is quiet")
            _await_quiet(sandbox, deployment, ring=not patient)
            for service in deployment.processes:
                recognised.add(service)
            deployment.stop()
            records = read_kf_records(deployment.database_url, sandbox, storm.stale)
            struck = _struck(sandbox)
    counts = {
        **_counts(storm, records),
        **{f"calls of ours hit by {fault}": struck[fault] for fault in sorted(struck)},
        "messages and events read again and recognised": round(recognised.count),
        "kills": deployment.kills,
        "kills while starting": deployment.kills_while_starting,
        "processes that stood still and went on": deployment.freezes,
        "restarts": deployment.restarts,
        "starts": deployment.starts,
        "seconds": round(time.monotonic() - started),
    }
    return Verdict(kf_problems(storm.said, storm.stale, records), counts)


def _await_quiet(sandbox: SandboxServer, deployment: Deployment, *, ring: bool) -> None:
    """Until WeCom has nothing that is not stored, answered and sent, and goes on having nothing:
    some sends fail later. What never ends is for the verdict to say."""
    look, ends, quiet_since = Look(deployment.database_url), time.monotonic() + QUIET_S, 0.0
    if ring:
        sandbox.put("/_sandbox/wecom/kf/settings", {"bell_loss_rate": 0.0})
        sandbox.post("/_sandbox/wecom/ring", {})
    try:
        while (now := time.monotonic()) < ends:
            if not look.is_all_done(_logged(sandbox)):
                quiet_since = 0.0
            elif not quiet_since:
                quiet_since = now
            elif now - quiet_since >= SETTLED_S:
                return
            time.sleep(0.1)
    finally:
        look.close()


def _logged(sandbox: SandboxServer) -> int:
    report = sandbox.get("/_sandbox/wecom/report")
    return sum(one["logged"] for one in report["kf"]["accounts"])


def _counts(storm: Storm, records: KfRecords) -> dict[str, int]:
    kf: JsonObject = records.report["kf"]
    (account,) = kf["accounts"]
    said = [one for ids in storm.said.values() for one in ids]
    turns = Counter(records.turns_of[one] for one in said)
    ours = [one for customer in records.seen for one in records.ours(customer)]
    ends = Counter(row["status"] for row in records.rows.deliveries)
    return {
        "customers": sum(map(bool, storm.said.values())),
        "messages said since the first start": len(said),
        "of those stored": len({row["channel_message_id"] for row in records.rows.messages}),
        **{f"of those answered by {n} turn{'s' * (n != 1)}": turns[n] for n in sorted(turns)},
        "messages from before the first start": len(storm.stale),
        "older ones stored": len(records.stale),
        "older ones answered": sum(row["turn_id"] is not None for row in records.stale),
        "turns": len(records.rows.turns),
        "messages that customers read of us": len(ours),
        **{f"answers {end}": ends[end] for end in sorted(ends)},
        "sends that WeCom took and failed later": len(records.failed),
        **_refusals(records),
        "most sent for one message of a customer (5 allowed)": kf["most_sent"],
        "pages pulled": account["pulls"],
        "of those empty": account["empty_pulls"],
        "bells": account["rings"],
        "callbacks that nobody took": records.report["callbacks"]["failed"],
        "tokens fetched": records.report["tokens"]["issued"],
    }


def _struck(sandbox: SandboxServer) -> Counter[str]:
    lines = [line for line in sandbox.journal_lines() if line["peer"] == PEER]
    return Counter(line["fault"] for line in lines if line["fault"] not in (None, "latency"))


def _refusals(records: KfRecords) -> dict[str, int]:
    sends = Counter(one["rule"] for one in records.refused if one["path"].endswith(SEND))
    others = Counter(one["rule"] for one in records.refused if not one["path"].endswith(SEND))
    return {f"sends refused: {rule}": sends[rule] for rule in sorted(sends)} | {
        f"other calls refused: {rule}": others[rule] for rule in sorted(others)
    }
