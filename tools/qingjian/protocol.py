"""Reads and writes Qingjian's frames by a mapping. Values in, values out: no input or output."""

import hashlib
import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Literal

from domain.messages import (
    MAX_ID_CHARS,
    MAX_NAME_CHARS,
    MAX_TEXT_CHARS,
    MAX_URL_CHARS,
    Attachment,
    InboundMessage,
    MessageKind,
)
from domain.text import clean, is_one_line, one_line
from tools.qingjian.mapping import (
    AckRule,
    Conditions,
    EventRule,
    Exists,
    Fields,
    HeartbeatRule,
    IgnoreRule,
    LoginRule,
    Lookup,
    MessageRule,
    QingjianMapping,
    Rule,
    Scalar,
    TimeFormat,
    fields_of,
)
from tools.qingjian.paths import fill, find_all

CHANNEL = "qingjian"
MAX_ATTACHMENTS = 20
KEPT_CHARS = 2_000
MADE_UP = "h_"
"""Begins the ids of messages that came without one."""
_BEIJING = timezone(timedelta(hours=8), "Asia/Shanghai")
_MILLISECONDS_FROM = 1e11
"""As seconds this is the year 5138, as milliseconds 1973."""
_SECRET = re.compile(
    r'(?i)("[a-z_-]*(?:secret|passw|token|api_?key|app_?key|cookie|authorization|sign)[a-z_-]*"'
    r'\s*:\s*)(?:"(?:[^"\\]|\\.)*"?|[^\s,}\]]+)'
)

OutgoingType = Literal["text", "image", "file"]


# Frames that come in ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CustomerFrame:
    """``answer``: what tells the peer that the message is stored; None where it takes nothing.

    ``identified``: the frame says by itself which message it is, be it by its time.
    """

    message: InboundMessage
    account_type: str
    answer: str | None
    identified: bool = True


@dataclass(frozen=True, slots=True)
class AckFrame:
    """``temporary``: refused now, but the same message may be taken later."""

    id: str
    accepted: bool
    temporary: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LoginFrame:
    accepted: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HeartbeatFrame:
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class IgnoredFrame:
    """``answer``: also a message with nothing in it is acknowledged, or it would come for ever."""

    answer: str | None = None


@dataclass(frozen=True, slots=True)
class UnknownFrame:
    """``shown``: the frame, shortened and without what looks like a secret. It may hold what a
    customer wrote: for the audit log, not for the process's log."""

    reason: str
    shown: str
    size: int


Frame = CustomerFrame | AckFrame | LoginFrame | HeartbeatFrame | IgnoredFrame | UnknownFrame


class _Unreadable(Exception):
    """The rule fits and the fields do not: probably the mapping is wrong."""


def read_frame(
    mapping: QingjianMapping, raw: str | bytes, *, received_at: float, zone: tzinfo = _BEIJING
) -> Frame:
    """What ``raw`` is. Never raises: what cannot be read is an UnknownFrame that says why.

    ``zone``: of times without one. ``received_at``: seconds since the epoch.
    """
    if len(raw) > mapping.connection.max_frame_bytes:
        return _unknown(f"more than {mapping.connection.max_frame_bytes} bytes", raw)
    try:
        frame = json.loads(raw)
    except (ValueError, RecursionError):
        return _unknown("is no JSON", raw)
    rule = next((rule for rule in mapping.incoming if _holds(rule.when, frame)), None)
    if rule is None:
        return _unknown("no rule fits", raw)
    try:
        return _read(mapping, rule, frame, received_at, zone)
    except _Unreadable as error:
        return _unknown(f"{rule.kind}: {error}", raw)


def _unknown(reason: str, raw: str | bytes) -> UnknownFrame:
    size = len(raw)
    start = raw[: 2 * KEPT_CHARS]
    text = start.decode("utf-8", "replace") if isinstance(start, bytes) else start
    masked = _SECRET.sub(r'\g<1>"***"', clean(text))
    return UnknownFrame(reason, masked[:KEPT_CHARS], size)


def _read(
    mapping: QingjianMapping, rule: Rule, frame: object, received_at: float, zone: tzinfo
) -> Frame:
    match rule:
        case MessageRule() | EventRule():
            return _customer_frame(mapping, rule, frame, received_at, zone)
        case AckRule():
            return _ack_frame(mapping, rule, frame)
        case LoginRule():
            return LoginFrame(_holds(rule.success, frame), _reason(rule.reason, frame))
        case HeartbeatRule():
            answer = rule.answer
            return HeartbeatFrame(_encoded(answer, _now(received_at, zone), frame))
        case IgnoreRule():
            return IgnoredFrame()


def _ack_frame(mapping: QingjianMapping, rule: AckRule, frame: object) -> AckFrame:
    sent = _scalar(rule.id, frame)
    if sent in ("", None):
        raise _Unreadable("says not which message it is for")
    if _holds(rule.success, frame):
        return AckFrame(_text(sent), accepted=True)
    code = _text(_scalar(rule.code, frame))
    temporary = code in map(_text, mapping.acknowledgement.temporary_codes)
    reason = " ".join(filter(None, (code, _reason(rule.reason, frame)))) or "refused the message"
    return AckFrame(_text(sent), accepted=False, temporary=temporary, reason=reason)


def _reason(lookup: Lookup, frame: object) -> str:
    return one_line(_text(_scalar(lookup, frame)))[:200]


# A customer's message -----------------------------------------------------------------------


def _customer_frame(
    mapping: QingjianMapping,
    rule: MessageRule | EventRule,
    frame: object,
    received_at: float,
    zone: tzinfo,
) -> CustomerFrame | IgnoredFrame:
    fields = fields_of(mapping, rule)
    answer = _encoded(mapping.outgoing.received, _now(received_at, zone), frame)
    event = rule.event if isinstance(rule, EventRule) else ""
    attachments = _attachments(fields, frame)
    said = _scalar(fields.text, frame)
    text = clean(_text(said))[:MAX_TEXT_CHARS]
    if not (text or attachments or event):
        if said is None and not _any_attachment(fields, frame):
            raise _Unreadable("neither text nor attachment at its paths")
        return IgnoredFrame(answer)
    sender = _identifier("sender_id", fields.sender_id, frame)
    message = InboundMessage(
        channel=CHANNEL,
        account=_identifier("account", fields.account, frame),
        channel_message_id=_message_id(fields, frame, event),
        chat_id=_identifier("chat_id", fields.chat_id, frame, default=sender),
        sender_id=sender,
        text=text,
        kind=_kind(event, text, attachments),
        sender_name=one_line(_text(_scalar(fields.sender_name, frame)))[:MAX_NAME_CHARS],
        attachments=attachments,
        sent_at=min(_sent_at(mapping.time, fields, frame, zone, received_at), received_at),
        received_at=received_at,
        route="push",
        event=event,
    )
    account_type = one_line(_text(_scalar(fields.account_type, frame)))[:MAX_NAME_CHARS]
    identified = _present(fields.message_id, frame) or _present(fields.time, frame)
    return CustomerFrame(message, account_type, answer, identified)


def _kind(event: str, text: str, attachments: tuple[Attachment, ...]) -> MessageKind:
    if event:
        return MessageKind.EVENT
    return MessageKind.TEXT if text else MessageKind(attachments[0].kind)


def _identifier(name: str, lookup: Lookup, frame: object, *, default: str = "") -> str:
    value = _scalar(lookup, frame)
    text = _text(value).strip() or default
    if not text:
        raise _Unreadable(f"no {name} at its path")
    if isinstance(value, bool) or len(text) > MAX_ID_CHARS or not is_one_line(text):
        raise _Unreadable(f"{name} is no identifier of at most {MAX_ID_CHARS} characters")
    return text


def _message_id(fields: Fields, frame: object, event: str) -> str:
    """The peer's; where it gives none, the same for the same account, sender, time and content."""
    given = _text(_scalar(fields.message_id, frame)).strip()
    if given and len(given) <= MAX_ID_CHARS and is_one_line(given):
        return given
    if given:
        return MADE_UP + _digest(given)
    single = (fields.account, fields.chat_id, fields.sender_id, fields.time, fields.text)
    parts = [_text(_scalar(lookup, frame)) for lookup in single]
    for lookup in (fields.images, fields.files, fields.voices, fields.links):
        parts += _texts(lookup, frame)
    return MADE_UP + _digest(event, *parts)


def _digest(*parts: str) -> str:
    joined = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(joined, digest_size=16).hexdigest()


def _attachments(fields: Fields, frame: object) -> tuple[Attachment, ...]:
    found = [
        Attachment(kind.value, url)
        for kind, lookup in _attachment_fields(fields)
        for url in map(str.strip, _texts(lookup, frame))
        if url.lower().startswith(("http://", "https://"))
        and len(url) <= MAX_URL_CHARS
        and is_one_line(url)
    ]
    return tuple(found[:MAX_ATTACHMENTS])


def _attachment_fields(fields: Fields) -> tuple[tuple[MessageKind, Lookup], ...]:
    return (
        (MessageKind.IMAGE, fields.images),
        (MessageKind.FILE, fields.files),
        (MessageKind.VOICE, fields.voices),
        (MessageKind.LINK, fields.links),
    )


def _any_attachment(fields: Fields, frame: object) -> bool:
    return any(_texts(lookup, frame) for _, lookup in _attachment_fields(fields))


def _sent_at(
    form: TimeFormat, fields: Fields, frame: object, zone: tzinfo, default: float
) -> float:
    """A time that cannot be read is no reason to lose the message."""
    value = _scalar(fields.time, frame)
    if value is None or isinstance(value, bool) or value == "":
        return default
    try:
        number = float(value)
    except ValueError:
        return _moment(form, str(value), zone, default)
    if form.unit == "text" and form.format:
        return _moment(form, str(value), zone, default)
    if not math.isfinite(number) or number < 0:
        return default
    milliseconds = form.unit == "ms" or (form.unit == "auto" and number >= _MILLISECONDS_FROM)
    return number / 1000 if milliseconds else number


def _moment(form: TimeFormat, text: str, zone: tzinfo, default: float) -> float:
    try:
        if form.format:
            found = datetime.strptime(text.strip(), form.format)
        else:
            found = datetime.fromisoformat(text.strip())
        aware = found if found.tzinfo else found.replace(tzinfo=zone)
        return (aware - datetime.fromtimestamp(0, UTC)).total_seconds()
    except (ValueError, OverflowError):
        return default


# Looking values up --------------------------------------------------------------------------


def _holds(conditions: Conditions, frame: object) -> bool:
    return all(_fits(wanted, find_all(path, frame)) for path, wanted in conditions.items())


def _fits(wanted: object, found: list[Any]) -> bool:
    if isinstance(wanted, Exists):
        return wanted.exists == any(value is not None for value in found)
    options = wanted if isinstance(wanted, tuple) else (wanted,)
    accepted = {_text(option) for option in options}
    return any(_text(value) in accepted for value in found if not isinstance(value, dict | list))


def _present(lookup: Lookup, frame: object) -> bool:
    return any(value not in (None, "") for path in lookup.path for value in find_all(path, frame))


def _scalar(lookup: Lookup, frame: object) -> Scalar:
    """The first text, number or truth value that is not empty; else the default, else what is
    there (an empty text), else None."""
    empty: Scalar = None
    for path in lookup.path:
        for value in find_all(path, frame):
            if isinstance(value, str | int | float):
                if value != "":
                    return value
                empty = ""
    return lookup.default if lookup.default is not None else empty


def _texts(lookup: Lookup, frame: object) -> list[str]:
    """All texts at the first path that has any; a list stands for its items."""
    for path in lookup.path:
        values: list[Any] = []
        for value in find_all(path, frame):
            values += value if isinstance(value, list) else [value]
        texts = [value for value in values if isinstance(value, str) and value]
        if texts:
            return texts
    return []


def _text(value: object) -> str:
    """Peers write a code as 0 or "0", an id as 7 or "7": to us they are the same."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


# Frames that go out -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """``to`` the customer, in ``chat_id``, which is ``to`` again where it is no group. ``url`` and
    ``name``: of an image or a file; ``text`` of a text."""

    message_id: str
    account: str
    account_type: str
    chat_id: str
    to: str
    type: OutgoingType
    text: str = ""
    url: str = ""
    name: str = ""

    @property
    def number(self) -> int:
        """For peers whose ids are numbers: made from the id, exact in every JSON reader."""
        digest = hashlib.blake2b(self.message_id.encode("utf-8", "replace"), digest_size=8)
        return int.from_bytes(digest.digest()) >> 11


def message_frame(
    mapping: QingjianMapping, message: OutgoingMessage, *, now: float, zone: tzinfo = _BEIJING
) -> str:
    """The frame that sends ``message``. An image or a file without a template goes as a text."""
    template = getattr(mapping.outgoing, message.type)
    text = message.text
    if template is None:
        template = mapping.outgoing.text
        text = " ".join(filter(None, (message.name, message.url)))
    values = _now(now, zone) | {
        "message_id": message.message_id,
        "message_number": message.number,
        "account": message.account,
        "account_type": message.account_type,
        "chat_id": message.chat_id,
        "group_id": message.chat_id if message.chat_id != message.to else "",
        "to": message.to,
        "text": text,
        "url": message.url,
        "name": message.name,
    }
    return _json(fill(template, values))


def login_frame(mapping: QingjianMapping, *, now: float, zone: tzinfo = _BEIJING) -> str | None:
    return _encoded(mapping.outgoing.login, _now(now, zone))


def heartbeat_frame(mapping: QingjianMapping, *, now: float, zone: tzinfo = _BEIJING) -> str | None:
    return _encoded(mapping.outgoing.heartbeat, _now(now, zone))


def _now(now: float, zone: tzinfo) -> dict[str, object]:
    return {
        "time": int(now),
        "time_ms": int(now * 1000),
        "time_text": f"{datetime.fromtimestamp(now, zone):%Y-%m-%d %H:%M:%S}",
    }


def _encoded(template: object, values: dict[str, object], frame: object = None) -> str | None:
    return None if template is None else _json(fill(template, values, frame))


def _json(frame: object) -> str:
    """A lone surrogate would make the frame no UTF-8."""
    text = json.dumps(frame, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode()
