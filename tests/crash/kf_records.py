"""What a storm has left in the rows and at WeCom, and what must be true of it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from sqlalchemy import create_engine, text

from engine.wecom.kf_words import part_msgid
from storage.database import normalise_url
from storage.kf import CHANNEL
from tests.crash.records import Records, Rows, intake_problems, read_records
from tests.sandbox.wecom import KF, Wecom
from tests.sandbox_server import JsonObject, SandboxServer

MOST_PARTS = 5
HARMLESS = frozenset({"again", "token"})
"""The same message once more after a lost answer; a token that WeCom took back early."""
SEND = "kf/send_msg"


@dataclass(frozen=True)
class KfRecords:
    """``rows``: of customers' messages since the first start; ``stale``: rows of older ones;
    ``seen``: by customer, everything that their phone shows; ``failed``: what WeCom took and later
    told us to have failed: its text by its id."""

    rows: Records
    stale: Rows
    seen: dict[str, list[JsonObject]]
    failed: dict[str, str]
    refused: list[JsonObject]
    report: JsonObject

    def ours(self, customer: str) -> list[JsonObject]:
        return [one for one in self.seen.get(customer, ()) if one["who"] != "customer"]

    @cached_property
    def turns_of(self) -> Counter[str]:
        """How many turns each message was handled by."""
        return Counter(one for named in self.rows.messages_of.values() for one in named)

    @cached_property
    def delivery_of(self) -> dict[str, JsonObject]:
        """By the ids that its parts have at WeCom."""
        return {
            part_msgid(row["message_id"], row["created_at"], number): row
            for row in self.rows.deliveries
            for number in range(MOST_PARTS)
        }


def read_kf_records(database_url: str, sandbox: SandboxServer, stale: Sequence[str]) -> KfRecords:
    """Once all is quiet; WeCom does nothing bad any more after this."""
    report = sandbox.get("/_sandbox/wecom/report")
    refused = sandbox.get("/_sandbox/wecom/refused", limit=10_000)["refused"]
    names = [
        one["external_userid"] for one in sandbox.get("/_sandbox/wecom/kf/sessions")["sessions"]
    ]
    wecom = Wecom(sandbox)
    seen = {name: wecom.chat(f"kf/{KF}/{name}") for name in names}
    found, old = read_records(database_url, CHANNEL), frozenset(stale)
    own = [row for row in found.messages if not row["event"]]
    return KfRecords(
        rows=replace(found, messages=[row for row in own if row["channel_message_id"] not in old]),
        stale=[row for row in own if row["channel_message_id"] in old],
        seen=seen,
        failed=_failed(wecom),
        refused=refused,
        report=report,
    )


def _failed(wecom: Wecom) -> dict[str, str]:
    """WeCom's whole log read once more, by nobody that the service knows."""
    wecom.sandbox.clear_faults()
    calm = {"empty_rate": 0.0, "short_rate": 0.0, "repeat_rate": 0.0, "page": 1_000, "tokenless": 0}
    wecom.set("kf/settings", **calm)
    wecom.set("tokens", early_end_rate=0.0)
    log, _ = wecom.pull_all()
    events = [one["event"] for one in log if one["msgtype"] == "event"]
    sent = {
        line["body"]["msgid"]: str(line["body"]["text"]["content"])
        for line in wecom.sandbox.journal_lines()
        if line["kind"] == SEND
    }
    failed = [one["fail_msgid"] for one in events if one["event_type"] == "msg_send_fail"]
    return {msgid: sent.get(msgid, "") for msgid in failed}


class Look:
    """At the rows while the deployment runs."""

    def __init__(self, database_url: str) -> None:
        self._engine = create_engine(normalise_url(database_url))

    def is_all_done(self, logged: int) -> bool:
        """All that WeCom has for us is stored, answered and sent."""
        with self._engine.connect() as connection:

            def count(sql: str) -> int:
                return int(connection.scalar(text(sql), {"channel": CHANNEL}) or 0)

            from_wecom = "FROM messages WHERE channel = :channel AND role = 'user'"
            return (
                count(f"SELECT COUNT(*) {from_wecom}") >= logged
                and count(f"SELECT COUNT(*) {from_wecom} AND status <> 'handled'") == 0
                and count("SELECT COUNT(*) FROM outbox WHERE status = 'pending'") == 0
            )

    def close(self) -> None:
        self._engine.dispose()


# What must be true ----------------------------------------------------------------------------


def kf_problems(said: Mapping[str, Sequence[str]], stale: Sequence[str], r: KfRecords) -> list[str]:
    return [
        *intake_problems({one for ids in said.values() for one in ids}, r.rows),
        *stale_problems(stale, r),
        *sight_problems(said, r),
        *loss_problems(r),
        *order_problems(said, r),
        *rule_problems(r),
    ]


def stale_problems(stale: Sequence[str], r: KfRecords) -> list[str]:
    """What was written before the first start is history: stored once, answered by nobody."""
    problems = []
    stored = Counter(row["channel_message_id"] for row in r.stale)
    for message in stale:
        if stored[message] != 1:
            problems.append(f"stale message {message!r} is stored {stored[message]} times")
    for row in r.stale:
        if row["turn_id"] is not None or f"row {row['id']}" in r.turns_of:
            problems.append(f"stale message {row['channel_message_id']!r} was answered")
    return problems


def sight_problems(said: Mapping[str, Sequence[str]], r: KfRecords) -> list[str]:
    """Whatever a customer sees of us was meant for them, and is there once."""
    problems = []
    for customer in r.seen:
        ours = r.ours(customer)
        if ours and not said.get(customer):
            problems.append(f"{customer} was written to and has said nothing since the first start")
        for msgid, times in Counter(one["msgid"] for one in ours).items():
            delivery = r.delivery_of.get(msgid)
            if delivery is None or json.loads(delivery["payload"])["to"] != customer:
                problems.append(f"{customer} sees {msgid!r}, which is no answer to them")
            if times > 1:
                problems.append(f"{customer} sees {msgid!r} {times} times")
    return problems


def loss_problems(r: KfRecords) -> list[str]:
    """Every delivery has arrived, or is known to have failed where WeCom says so afterwards."""
    problems = []
    content = {row["turn_id"]: row["content"].strip() for row in r.rows.replies}
    lost = {
        r.delivery_of[one]["id"]: said for one, said in r.failed.items() if one in r.delivery_of
    }
    if r.failed.keys() - r.delivery_of.keys():
        problems.append("WeCom tells of failures of what we never sent")
    for row in r.rows.deliveries:
        shown = f"delivery {row['message_id']!r}"
        joined = any(content.get(row["turn_id"], "") in said for said in lost.values())
        if row["status"] == "dead" and row["id"] not in lost and not joined:
            problems.append(f"{shown} was given up: {row['last_error']}")
        elif row["status"] not in ("delivered", "dead"):
            problems.append(f"{shown} is {row['status']}: {row['last_error']}")
        elif row["status"] == "delivered" and row["id"] in lost:
            problems.append(f"{shown} failed at WeCom, and counts as delivered")
    return problems


def order_problems(said: Mapping[str, Sequence[str]], r: KfRecords) -> list[str]:
    """A customer reads the answers to their messages in the order of their messages, whole, and
    nothing else; but for those that failed at WeCom. Several may stand in one message."""
    problems = []
    dead = {row["turn_id"] for row in r.rows.deliveries if row["status"] == "dead"}
    content = {row["turn_id"]: row["content"] for row in r.rows.replies}
    for customer, messages in said.items():
        turns = list(dict.fromkeys(r.rows.turn_of.get(one) for one in messages))
        handled = [one for turn in turns for one in r.rows.messages_of.get(turn or "", [])]
        if handled != list(messages):
            problems.append(f"{customer}: {len(messages)} messages were not handled in their order")
        due = [content.get(turn, "") for turn in turns if turn not in dead]
        seen = [
            one["text"]
            for one in r.ours(customer)
            if r.delivery_of.get(one["msgid"], {}).get("turn_id") not in dead
        ]
        if _joined(seen) != _joined(due):
            problems.append(
                f"{customer} reads other words than {len(due)} answers: {_first_other(due, seen)}"
            )
    return problems


def _joined(texts: Sequence[str]) -> str:
    return "".join("".join(texts).split())


def _first_other(due: Sequence[str], seen: Sequence[str]) -> str:
    wanted, found = _joined(due), _joined(seen)
    same = next((at for at, (a, b) in enumerate(zip(wanted, found, strict=False)) if a != b), None)
    at = min(len(wanted), len(found)) if same is None else same
    return f"after {at} characters {found[at : at + 40]!r} for {wanted[at : at + 40]!r}"


def rule_problems(r: KfRecords) -> list[str]:
    """WeCom had to refuse nothing that we can know of beforehand."""
    problems = [
        f"WeCom refused {one['path']} for {one['rule']} ({one['errcode']} {one['reason']}): "
        f"{one['body']}"
        for one in r.refused
        if one["rule"] not in HARMLESS
    ]
    if r.report["kf"]["most_sent"] > MOST_PARTS:
        problems.append(f"{r.report['kf']['most_sent']} messages were sent for one of a customer")
    return problems
