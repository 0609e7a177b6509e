"""The mapping file: how the frames of one Qingjian installation are read and written.

The shape of its frames is not public, so it is configuration. What a file may hold is written down
in ``docs/qingjian.md``; the default, ``default_mapping.json``, is what the sandbox speaks.
"""

from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from domain.errors import ConfigurationError
from tools.qingjian.paths import compile_path, places

VARIABLE = "QINGJIAN_MAPPING_FILE"
DEFAULT_FILE = "default_mapping.json"
MAX_FILE_BYTES = 1024 * 1024
OUTGOING = frozenset(
    {
        "message_id",
        "message_number",
        "account",
        "account_type",
        "chat_id",
        "group_id",
        "to",
        "text",
        "url",
        "name",
        "time",
        "time_ms",
        "time_text",
    }
)
"""Places of the templates of messages."""
NOW = frozenset({"time", "time_ms", "time_text"})
"""Places of every template."""

Scalar = str | int | float | bool | None


def _path(text: str) -> str:
    compile_path(text)
    return text


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


PathText = Annotated[str, Field(max_length=512), AfterValidator(_path)]
Paths = Annotated[tuple[PathText, ...], BeforeValidator(_as_list)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Lookup(_Part):
    """Where a value is found: the first of ``path`` that holds one, else ``default``.

    In the file also one path, or a list of paths, alone.
    """

    path: Paths = ()
    default: Scalar = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str | list) else value


class Exists(_Part):
    exists: bool


Wanted = Exists | Scalar | tuple[Scalar, ...]
Conditions = dict[PathText, Wanted]
"""All must hold: the value at the path equals, is one of, or is there at all."""


class Fields(_Part):
    """What is read from a customer's frame. ``account``: the shop, ``chat_id``: the group."""

    message_id: Lookup = Lookup()
    account: Lookup = Lookup()
    account_type: Lookup = Lookup()
    sender_id: Lookup = Lookup()
    sender_name: Lookup = Lookup()
    chat_id: Lookup = Lookup()
    text: Lookup = Lookup()
    images: Lookup = Lookup()
    files: Lookup = Lookup()
    voices: Lookup = Lookup()
    links: Lookup = Lookup()
    time: Lookup = Lookup()


class _Rule(_Part):
    when: Conditions


class MessageRule(_Rule):
    """``fields`` overrides those of the file, one by one."""

    kind: Literal["message"]
    fields: Fields = Fields()


class EventRule(_Rule):
    kind: Literal["event"]
    event: str = Field(pattern=r"^[a-z][a-z_]{0,31}$")
    fields: Fields = Fields()


class AckRule(_Rule):
    """What the peer says of a message of ours. ``id``: where ours stands."""

    kind: Literal["ack"]
    id: Lookup
    success: Conditions = {}
    code: Lookup = Lookup()
    reason: Lookup = Lookup()


class LoginRule(_Rule):
    kind: Literal["login"]
    success: Conditions = {}
    reason: Lookup = Lookup()


class HeartbeatRule(_Rule):
    """``answer``: what we send back; nothing by default."""

    kind: Literal["heartbeat"]
    answer: JsonValue = None


class IgnoreRule(_Rule):
    kind: Literal["ignore"]


Rule = Annotated[
    MessageRule | EventRule | AckRule | LoginRule | HeartbeatRule | IgnoreRule,
    Field(discriminator="kind"),
]


class TimeFormat(_Part):
    """``auto``: a number is seconds, or milliseconds where it is too large for them; text is ISO
    8601, or ``format`` (as strptime reads it)."""

    unit: Literal["auto", "s", "ms", "text"] = "auto"
    format: str = ""


class Templates(_Part):
    """Frames that we send. ``received`` acknowledges a customer's message once it is stored."""

    text: JsonValue
    image: JsonValue = None
    file: JsonValue = None
    received: JsonValue = None
    login: JsonValue = None
    heartbeat: JsonValue = None


class Acknowledgement(_Part):
    """``temporary_codes``: refusals that may pass, so the message is sent again later."""

    timeout_s: Seconds = 10.0
    temporary_codes: tuple[Scalar, ...] = ()


class ConnectionOptions(_Part):
    """``websocket_ping_s`` and ``silence_s``: 0 switches the check off."""

    heartbeat_s: Seconds = 30.0
    login_timeout_s: Seconds = 10.0
    websocket_ping_s: float = Field(default=20.0, ge=0, le=3_600, allow_inf_nan=False)
    silence_s: float = Field(default=0.0, ge=0, le=86_400, allow_inf_nan=False)
    max_frame_bytes: int = Field(default=1024 * 1024, ge=1_024, le=64 * 1024 * 1024)


class QingjianMapping(_Part):
    """The whole file. ``accounts``: acc_id to acc_type, for shops that have not written yet."""

    comment: str = ""
    incoming: tuple[Rule, ...] = Field(min_length=1, max_length=200)
    fields: Fields
    time: TimeFormat = TimeFormat()
    accounts: dict[str, str] = {}
    outgoing: Templates
    acknowledgement: Acknowledgement = Acknowledgement()
    connection: ConnectionOptions = ConnectionOptions()

    @property
    def acknowledges(self) -> bool:
        """Whether the peer says that it has a message of ours."""
        return any(isinstance(rule, AckRule) for rule in self.incoming)

    @property
    def answers_login(self) -> bool:
        return any(isinstance(rule, LoginRule) for rule in self.incoming)

    @model_validator(mode="after")
    def _usable(self) -> Self:
        _check_rules(self)
        _check_templates(self)
        return self


class _Wrong(ValueError):
    """``key`` (dotted) of the file is wrong."""

    def __init__(self, key: str, reason: str) -> None:
        self.key, self.reason = key, reason
        super().__init__(f"{key}: {reason}")


def _check_rules(mapping: QingjianMapping) -> None:
    if not any(isinstance(rule, MessageRule) for rule in mapping.incoming):
        raise _Wrong("incoming", 'no rule of kind "message": customers could not be heard')
    for at, rule in enumerate(mapping.incoming):
        if isinstance(rule, MessageRule | EventRule):
            sender = fields_of(mapping, rule).sender_id
            if not sender.path and sender.default is None:
                raise _Wrong("fields.sender_id", "is missing: who wrote the message?")
        if isinstance(rule, AckRule) and not rule.id.path:
            raise _Wrong(f"incoming.{at}.id", "needs a path: which message is acknowledged?")


def _check_templates(mapping: QingjianMapping) -> None:
    outgoing, of_messages = mapping.outgoing, ("text", "image", "file")
    for name in type(outgoing).model_fields:
        template = getattr(outgoing, name)
        known = NOW | OUTGOING if name in of_messages else NOW
        _check_places(f"outgoing.{name}", template, known, frames=name == "received")
    for at, rule in enumerate(mapping.incoming):
        if isinstance(rule, HeartbeatRule):
            _check_places(f"incoming.{at}.answer", rule.answer, NOW, frames=True)
    _check_wanted(mapping, of_messages)


def _check_wanted(mapping: QingjianMapping, of_messages: tuple[str, ...]) -> None:
    for name in of_messages:
        template = getattr(mapping.outgoing, name)
        if template is None:
            continue
        asked = set(places(template))
        content = "text" if name == "text" else "url"
        if content not in asked:
            raise _Wrong(f"outgoing.{name}", f"never uses {{{content}}}: it would send nothing")
        if mapping.acknowledges and not asked & {"message_id", "message_number"}:
            raise _Wrong(
                f"outgoing.{name}",
                "uses neither {message_id} nor {message_number}: no acknowledgement could be"
                " matched to it",
            )


def _check_places(key: str, template: object, known: frozenset[str], *, frames: bool) -> None:
    for name in places(template):
        if name.startswith("frame."):
            if not frames:
                raise _Wrong(key, f"{{{name}}} is possible only in an answer to a frame")
            try:
                compile_path(name.removeprefix("frame."))
            except ValueError as error:
                raise _Wrong(key, str(error)) from None
        elif name not in known:
            allowed = ", ".join(sorted(known))
            raise _Wrong(key, f"{{{name}}} is no known place; there are: {allowed}")


def fields_of(mapping: QingjianMapping, rule: MessageRule | EventRule) -> Fields:
    """Those of the file, with what ``rule`` sets."""
    own = {name: getattr(rule.fields, name) for name in rule.fields.model_fields_set}
    return mapping.fields.model_copy(update=own) if own else mapping.fields


def load_mapping(path: Path | None = None) -> QingjianMapping:
    """The mapping in ``path``, or the default. Raises ConfigurationError naming file and key."""
    if path is None:
        return parse_mapping(default_text(), DEFAULT_FILE)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            VARIABLE, f"{str(path)!r}: {error.strerror}", "a file that can be read"
        ) from error
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigurationError(VARIABLE, f"{str(path)!r} is too large", "at most 1 MiB of JSON")
    return parse_mapping(raw, str(path))


def default_text() -> str:
    return (resources.files("tools.qingjian") / DEFAULT_FILE).read_text("utf-8")


def parse_mapping(text: str | bytes, source: str) -> QingjianMapping:
    """``source``: the file's name, for the error. Raises ConfigurationError."""
    try:
        return QingjianMapping.model_validate_json(text)
    except ValidationError as error:
        raise _configuration_error(error.errors(include_url=False)[0], source) from None


def _configuration_error(detail: ErrorDetails, source: str) -> ConfigurationError:
    wrong = detail.get("ctx", {}).get("error")
    if isinstance(wrong, _Wrong):
        return ConfigurationError(
            VARIABLE, f"{source!r}: {wrong.key}: {wrong.reason}", "see docs/qingjian.md"
        )
    key = _key(detail["loc"])
    if detail["type"] == "json_invalid":
        return ConfigurationError(VARIABLE, f"{source!r}: {detail['msg']}", "a JSON object")
    reason = _REASONS.get(detail["type"], "cannot be used")
    expected = detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    expected = _EXPECTED.get(detail["type"], expected)
    return ConfigurationError(VARIABLE, f"{source!r}: {key or 'the file'}: {reason}", expected)


def _key(location: tuple[int | str, ...]) -> str:
    """Without pydantic's own words for which member of a union it tried."""
    parts = list(location)
    if parts[:1] == ["incoming"]:
        del parts[2:3]
    return ".".join(str(part) for part in parts if part not in _MEMBERS)


_MEMBERS = frozenset({"[key]", "Exists", "str", "int", "float", "bool"})
_REASONS = {
    "missing": "is missing",
    "extra_forbidden": "is no known key",
    "union_tag_invalid": "is of an unknown kind",
    "union_tag_not_found": "has no kind",
}
_EXPECTED = {
    "missing": "that key, see docs/qingjian.md",
    "extra_forbidden": "only keys of docs/qingjian.md",
}
