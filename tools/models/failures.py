"""Why a call failed, from whatever exception the SDKs raised. Pure.

The SDKs are not imported: their exceptions are told by status, body and class name, so that both
of them, either HTTP library underneath and a plain time-out are judged by one set of rules.
Status codes and error codes: shared/reference/others.md, sections 4.1 to 4.4.
"""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tools.models.calls import FailureKind

_MAX_DETAIL = 200

_RETRYABLE: frozenset[FailureKind] = frozenset(
    {"refused", "timeout", "rate_limited", "server", "cut_stream", "garbage", "empty"}
)

_QUOTA_CODES = (
    "insufficient_quota",
    "exceeded_current_quota_error",
    "billing_error",
    "billing_hard_limit_reached",
    "enforced_spend_limit_reached",
    "insufficient_balance",
    "insufficient_user_quota",
    "arrearage",
    "freetieronly",
    "perday",
)
_QUOTA_WORDS = re.compile(
    r"insufficient.{0,12}balance|balance.{0,20}(too low|insufficient|not enough)|free.?(quota|tier)"
    r"|余额不足|欠费|免费额度",
    re.IGNORECASE,
)
_FILTER_CODES = (
    "content_filter",
    "content_policy_violation",
    "data_inspection_failed",
    "datainspectionfailed",
    "contentfilter",
)
_FILTER_WORDS = re.compile(r"content exists risk|inappropriate content|敏感|违规", re.IGNORECASE)
_RATE_CODES = re.compile(r"rate.?limit|throttling|too_many_requests|resource_exhausted|overloaded")
_AUTH_CODES = re.compile(
    r"invalid_(iam_token|api_?key|authentication)|incorrect_api_key|auth|denied"
)
_SERVER_CODES = re.compile(r"internal|unavailable|server_error|api_error|overload")

_SECRET = re.compile(
    r"(sk-|bce-v3/|Bearer\s+|AIza|(?:api[-_]?key|token|secret|password)[\"']?\s*[=:]\s*[\"']?)"
    r"[^\s\"',;)}\]]{4,}",
    re.IGNORECASE,
)
_URL_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@|\?[^\s\"']+")


@dataclass(frozen=True, slots=True)
class Failure:
    """``retryable``: the same request may succeed at the same provider a little later.

    ``retry_after``: seconds that the provider asked for. ``detail``: one line, no secrets.
    """

    kind: FailureKind
    retryable: bool
    status: int | None
    retry_after: float | None
    detail: str


class ErrorInBody(Exception):
    """HTTP 200, but ``body`` is an error (Qianfan does this) or no answer at all (None)."""

    def __init__(self, body: object, detail: str) -> None:
        self.body = body
        super().__init__(detail)


class BadAnswer(Exception):
    """The call went through, but ``kind`` says why its answer cannot be used."""

    def __init__(self, kind: FailureKind, detail: str) -> None:
        self.kind = kind
        super().__init__(detail)


@dataclass(frozen=True, slots=True)
class _Body:
    """The error object of any provider: ``codes`` in lower case, ``text`` for people."""

    codes: str
    text: str
    retry_delay: float | None


def redact(text: str) -> str:
    """Drop whatever looks like a key, and credentials or queries in addresses."""
    return _URL_CREDENTIALS.sub("", _SECRET.sub(r"\1***", text))


def failure(
    kind: FailureKind,
    detail: str,
    *,
    status: int | None = None,
    retry_after: float | None = None,
) -> Failure:
    line = redact(" ".join(detail.split()))[:_MAX_DETAIL]
    return Failure(kind, kind in _RETRYABLE, status, retry_after, line)


def classify_failure(exc: BaseException, *, answering: bool = False) -> Failure:
    """Judge what an SDK, the HTTP library or our own checks raised.

    ``answering``: a part of the answer had come, so a lost connection is a cut stream.
    """
    found = _classify(exc)
    return replace(found, kind="cut_stream") if answering and found.kind == "refused" else found


def _classify(exc: BaseException) -> Failure:
    chain = tuple(_chain(exc))
    for error in chain:
        if isinstance(error, BadAnswer):
            return failure(error.kind, str(error))
        if isinstance(error, ErrorInBody):
            return _from_body(error.body, str(error), status=200)
    for error in chain:
        status = getattr(error, "status_code", None)
        if isinstance(status, int):
            return _from_status(error, status)
    return _from_transport(chain) or _from_reading(chain)


def error_in_body(payload: object) -> bool:
    """Is this a provider's error object rather than an answer?"""
    if isinstance(payload, list):
        return bool(payload) and error_in_body(payload[0])
    if not isinstance(payload, Mapping) or payload.get("choices") or payload.get("content"):
        return False
    if payload.get("error") or payload.get("error_code") or payload.get("error_msg"):
        return True
    return "code" in payload and ("msg" in payload or "message" in payload)


def _chain(exc: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = exc
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        # Not __context__: it may be what our caller was handling when it called us.
        current = current.__cause__


def _from_status(error: BaseException, status: int) -> Failure:
    raw = getattr(error, "body", None)
    headers = getattr(getattr(error, "response", None), "headers", None)
    asked = _retry_after(headers)
    if isinstance(raw, str):
        raw = _loaded(raw)
    body = _read_body(raw)
    kind = _kind_of(status, body)
    text = body.text or f"HTTP {status}"
    return failure(kind, text, status=status, retry_after=asked or body.retry_delay)


def _from_body(raw: object, detail: str, *, status: int) -> Failure:
    if raw is None:
        return failure("garbage", detail)
    body = _read_body(raw)
    kind = _kind_of_codes(body) or _kind_without_status(body)
    return failure(kind, body.text or detail, status=status, retry_after=body.retry_delay)


def _kind_of(status: int, body: _Body) -> FailureKind:
    if status == 429:
        return "quota" if _has(body.codes, _QUOTA_CODES) else "rate_limited"
    if status in (408, 504):
        return "timeout"
    if status == 402:
        return "quota"
    if status in (409, 425) or status >= 500:
        return "server"
    if special := _kind_of_codes(body):
        return special
    return "auth" if status in (401, 403) else "bad_request"


def _kind_of_codes(body: _Body) -> FailureKind | None:
    if _has(body.codes, _QUOTA_CODES) or _QUOTA_WORDS.search(body.text):
        return "quota"
    if _has(body.codes, _FILTER_CODES) or _FILTER_WORDS.search(body.text):
        return "content_filter"
    return None


def _kind_without_status(body: _Body) -> FailureKind:
    if _RATE_CODES.search(body.codes):
        return "rate_limited"
    if _AUTH_CODES.search(body.codes):
        return "auth"
    return "server" if _SERVER_CODES.search(body.codes) else "bad_request"


def _from_transport(chain: tuple[BaseException, ...]) -> Failure | None:
    names = {cls.__name__ for error in chain for cls in type(error).__mro__}
    detail = _innermost(chain)
    # The SDKs call every transport error a connection error: only the cause tells them apart.
    if names & {"TimeoutException", "APITimeoutError"} or _timed_out(chain):
        return failure("timeout", detail or "no answer in time")
    if names & {"ConnectError", "ProxyError", "ConnectionRefusedError", "gaierror"}:
        return failure("refused", detail)
    if "without sending a response" in detail:
        return failure("refused", detail)
    if names & {"RemoteProtocolError", "EndOfStream"}:
        return failure("cut_stream", detail)
    if names & {"APIConnectionError", "ConnectionError", "SSLError", "NetworkError"}:
        return failure("refused", detail)
    return None


def _from_reading(chain: tuple[BaseException, ...]) -> Failure:
    """No transport error and no status: an error event in the stream, or nothing readable."""
    for error in chain:
        raw = getattr(error, "body", None)
        if raw is None and isinstance(error, ValueError) and error.args:
            # langchain-openai raises ValueError(the "error" object) for HTTP 200.
            raw = error.args[0] if isinstance(error.args[0], Mapping) else None
        if raw is not None:
            return _from_body(raw, str(error), status=200)
    first = chain[0]
    if "No generation chunks" in str(first):
        return failure("garbage", "the stream held not one event")
    return failure("garbage", f"unreadable answer: {type(first).__name__}: {first}")


def _timed_out(chain: tuple[BaseException, ...]) -> bool:
    return any(isinstance(error, TimeoutError | asyncio.TimeoutError) for error in chain)


def _innermost(chain: tuple[BaseException, ...]) -> str:
    for error in reversed(chain):
        if str(error):
            return str(error)
    return type(chain[0]).__name__


def _read_body(raw: object) -> _Body:
    """Accepts the whole body or its "error" part; Gemini wraps it in a list."""
    if isinstance(raw, list):
        raw = raw[0] if raw else None
    if not isinstance(raw, Mapping):
        return _Body("", str(raw or ""), None)
    inner = raw.get("error")
    if isinstance(inner, str):
        return _Body(str(raw.get("code", "")).lower(), inner, None)
    error = inner if isinstance(inner, Mapping) else raw
    details = error.get("details")
    codes = (error.get(key) for key in ("code", "type", "status", "error_code"))
    text = error.get("message") or error.get("msg") or error.get("error_msg") or ""
    noted = json.dumps(details, default=str) if details else ""
    return _Body(
        codes=" ".join([*(str(code) for code in codes if code is not None), noted]).lower(),
        text=str(text),
        retry_delay=_retry_delay(details),
    )


def _retry_delay(details: object) -> float | None:
    """Google's ``RetryInfo``: ``{"retryDelay": "34s"}``."""
    for entry in details if isinstance(details, list) else ():
        delay = entry.get("retryDelay") if isinstance(entry, Mapping) else None
        if isinstance(delay, str) and re.fullmatch(r"\d+(\.\d+)?s", delay):
            return float(delay[:-1])
    return None


def _retry_after(headers: object) -> float | None:
    """Seconds from ``retry-after-ms`` or ``retry-after``; its date form is rare and ignored."""
    if not isinstance(headers, Mapping):
        return None
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = str(headers.get(name) or "")
        if re.fullmatch(r"\d+(\.\d+)?", value):
            return float(value) * scale
    return None


def _loaded(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _has(codes: str, known: tuple[str, ...]) -> bool:
    return any(code in codes for code in known)
