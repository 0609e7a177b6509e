"""A page of customer service messages becomes rows: what is to be answered, what is history, and
what the platform tells of sessions."""

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Connection

from domain.messages import InboundMessage
from engine.wecom import kf_quota
from engine.wecom.kf_words import MOST_PARTS, WELCOME, part_msgids, undelivered_notice
from graphs.templates import Templates
from storage import kf, kf_sessions, kf_windows, outbox
from storage.clock import iso
from storage.inbox import Receipt
from storage.kf import CHANNEL, KfPull
from storage.kf_windows import Whose
from storage.outbox import NewDelivery
from tools.wecom.kf import SessionState
from tools.wecom.kf_messages import KfMessage, Origin

WINDOW_S = 48 * 3_600.0
ALLOWED = MOST_PARTS
"""Messages of ours for each of a customer's, within WINDOW_S (reference wecom.md, 3.3)."""
WELCOME_S = 20.0
_SECONDS = 1.0
"""Their clock gives whole seconds."""
_CHANGES = {"1": "human", "2": "human", "3": "bot", "4": "human"}
_FAILURES = {
    "0": "未知原因",
    "1": "客服账号已删除",
    "2": "应用已关闭",
    "4": "会话已过期,超过 48 小时",
    "5": "会话已关闭",
    "6": "超过 5 条限制",
    "7": "未绑定视频号",
    "8": "主体未验证",
    "9": "未绑定视频号且主体未验证",
    "10": "客户拒收",
    "11": "企业未有成员登录企业微信",
    "12": "发送的消息为客服组件禁发的消息类型",
}

Intake = Callable[[Connection, InboundMessage], Receipt]


@dataclass(slots=True)
class Stored:
    """``received``: to be answered, once committed; ``queues``: of the outbox, that got something;
    ``counts``: by msgtype and what became of it."""

    received: list[tuple[InboundMessage, Receipt]] = field(default_factory=list)
    queues: list[str] = field(default_factory=list)
    counts: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Page:
    connection: Connection
    pull: KfPull
    now: float
    stored: Stored


class KfIntake:
    """``intake``: `engine.engine.Engine.intake`. ``notices``: staff can be told something."""

    def __init__(self, intake: Intake, templates: Templates, *, notices: bool) -> None:
        self._intake, self._templates, self._notices = intake, templates, notices

    def store(
        self,
        connection: Connection,
        pull: KfPull,
        messages: tuple[KfMessage, ...],
        *,
        now: float,
    ) -> Stored:
        """In the order in which they were written. What is there already does nothing again."""
        page = _Page(connection, pull, now, Stored())
        for message in messages:
            outcome = self._one(page, message)
            shown = message.msgtype if message.is_known else "unknown"
            page.stored.counts.append((shown, outcome))
        return page.stored

    def _one(self, page: _Page, message: KfMessage) -> str:
        if message.origin is Origin.CUSTOMER and message.customer:
            return self._of_customer(page, message)
        if message.origin is Origin.SERVICER and message.customer:
            return self._of_servicer(page, message)
        if message.msgtype == "event":
            return self._event(page, message)
        return self._history(page, message, "user")

    # Messages ------------------------------------------------------------------------------

    def _of_customer(self, page: _Page, message: KfMessage) -> str:
        whose = Whose(CHANNEL, message.open_kfid, message.customer)
        if _is_stale(page, message) or not message.is_known:
            outcome = self._history(page, message, "user")
        else:
            inbound = self._inbound(page, message)
            receipt = self._intake(page.connection, inbound)
            page.stored.received.append((inbound, receipt))
            outcome = "duplicate" if receipt.duplicate else "received"
        if outcome != "duplicate":
            self._opens(page, message, whose)
        return outcome

    def _opens(self, page: _Page, message: KfMessage, whose: Whose) -> None:
        at = _sent_at(page, message)
        kf_windows.open_window(page.connection, whose, at=at, lasts=WINDOW_S, allowed=ALLOWED)
        window = kf_windows.locked(page.connection, whose)
        if window is not None and window.state == str(int(SessionState.ENDED)):
            kf_windows.set_state(page.connection, whose, "")

    def _of_servicer(self, page: _Page, message: KfMessage) -> str:
        outcome = self._history(page, message, "staff")
        if outcome != "duplicate" and not _is_stale(page, message):
            self._person_has_it(page, message, message.servicer)
        return outcome

    def _history(self, page: _Page, message: KfMessage, role: kf.Role) -> str:
        inbound = self._inbound(page, message)
        return "history" if kf.keep(page.connection, inbound, role) else "duplicate"

    def _inbound(self, page: _Page, message: KfMessage) -> InboundMessage:
        event = message.event or ("" if message.is_known else message.msgtype)
        return InboundMessage(
            channel=CHANNEL,
            account=message.open_kfid,
            channel_message_id=message.msgid,
            chat_id=message.customer,
            sender_id=message.customer,
            text=message.text,
            kind=message.kind,
            attachments=message.attachments,
            sent_at=_sent_at(page, message),
            received_at=page.now,
            route="push",
            event=event[:64],
        )

    # Events --------------------------------------------------------------------------------

    def _event(self, page: _Page, message: KfMessage) -> str:
        """Each once: an event that is history already has had its effect."""
        if self._history(page, message, "user") == "duplicate":
            return "duplicate"
        if _is_stale(page, message):
            return "history"
        if message.event == "enter_session":
            self._welcome(page, message)
        elif message.event == "msg_send_fail":
            self._sending_failed(page, message)
        elif message.event == "session_status_change":
            self._session_changed(page, message)
        elif message.event == "user_recall_msg":
            return self._recalled(page, message)
        return "event"

    def _recalled(self, page: _Page, message: KfMessage) -> str:
        conversation = self._inbound(page, message).conversation
        recalled = message.field("recall_msgid")
        known = kf.recall(page.connection, conversation, message.open_kfid, recalled)
        return "recalled" if known else "event"

    def _welcome(self, page: _Page, message: KfMessage) -> None:
        """Through the outbox, in a queue of its own: it must leave within 20 s, and once."""
        code, until = message.field("welcome_code"), message.sent_at + WELCOME_S
        if not code or page.now >= until:
            return
        inbound = self._inbound(page, message)
        key = f"kf-welcome:{message.open_kfid}:{message.customer}"
        kf.forget_welcome(page.connection, key, before=page.now - WINDOW_S)
        welcome = NewDelivery(
            message_id=key,
            queue=key,
            kind="message",
            channel=CHANNEL,
            account=message.open_kfid,
            conversation_id=inbound.conversation,
            turn_id="",
            payload={
                "type": WELCOME,
                "chat_id": message.customer,
                "to": message.customer,
                "text": self._templates.render("kf_welcome", seed=message.msgid),
                "code": code,
                "until": until,
                "created_at": page.now,
            },
        )
        self._send(page, welcome)

    def _session_changed(self, page: _Page, message: KfMessage) -> None:
        mode = _CHANGES.get(message.field("change_type"))
        if mode == "human":
            self._person_has_it(page, message, message.field("new_servicer_userid"))
        elif mode == "bot":
            conversation = self._inbound(page, message).conversation
            agent = message.field("old_servicer_userid")
            kf_sessions.give_back(page.connection, conversation, agent=agent, now=page.now)
            self._state(page, message, SessionState.ENDED)

    def _person_has_it(self, page: _Page, message: KfMessage, agent: str) -> None:
        conversation = self._inbound(page, message).conversation
        kf_sessions.hand_to_person(page.connection, conversation, agent=agent, now=page.now)
        self._state(page, message, SessionState.HUMAN)

    def _state(self, page: _Page, message: KfMessage, state: SessionState) -> None:
        whose = Whose(CHANNEL, message.open_kfid, message.customer)
        kf_windows.set_state(page.connection, whose, str(int(state)))

    def _sending_failed(self, page: _Page, message: KfMessage) -> None:
        """The delivery was accepted, and failed later: it becomes a dead letter after all."""
        kind = message.field("fail_type")
        reason = f"微信客服发送失败({_FAILURES.get(kind, f'类型 {kind}')})"
        conversation = self._inbound(page, message).conversation
        failed = message.field("fail_msgid")
        sent = kf.sent_to(page.connection, conversation)
        carrier = next(
            (one for one in sent if failed in part_msgids(one.message_id, one.created_at)), None
        )
        if carrier is None:
            return
        whose = Whose(CHANNEL, message.open_kfid, message.customer)
        names = kf_quota.part_with(page.connection, whose, carrier.message_id)
        # One that is pending was not yet told of its carrier, and will leave on its own.
        carried = [one for one in sent if one.message_id in names and one.status == "delivered"]
        for one in (carrier, *carried):
            if kf.mark_failed(page.connection, one.id, error=reason, now=page.now):
                self._tell_staff(page, one.message_id, conversation, reason)

    def _tell_staff(self, page: _Page, message_id: str, conversation: str, reason: str) -> None:
        if self._notices:
            self._send(page, undelivered_notice(message_id, conversation, reason))

    def _send(self, page: _Page, delivery: NewDelivery) -> None:
        outbox.add(page.connection, [delivery], iso(page.now))
        page.stored.queues.append(delivery.queue)


def _sent_at(page: _Page, message: KfMessage) -> float:
    return min(message.sent_at or page.now, page.now)


def _is_stale(page: _Page, message: KfMessage) -> bool:
    """From before this service was started for the first time."""
    return _sent_at(page, message) + _SECONDS <= page.pull.since
