"""Spans by OpenTelemetry's SDK, sent as OTLP over HTTP from a thread of their own.

Imported only where traces are sent. The exporter is ours: the SDK's adds the collector's headers of
the environment to whatever else it sends, so Langfuse would be told the collector's password.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

import httpx
import orjson
from opentelemetry import trace as api
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from domain.placeholders import Placeholders
from domain.spans import Kind, Said, Span, Value, current
from engine.metrics import Metrics
from engine.tracing import Target, trace_number
from tools.models.breaker import BreakerPolicy, BreakerState, CircuitBreaker

log = logging.getLogger(__name__)
MAX_TEXT_CHARS = 4_000
STOP_S = 5.0
_BREAKER = BreakerPolicy(failures=2, window=12.0, wait=5.0, longest=120.0)
_KINDS = {
    "internal": SpanKind.INTERNAL,
    "client": SpanKind.CLIENT,
    "server": SpanKind.SERVER,
    "producer": SpanKind.PRODUCER,
}
_next_trace: ContextVar[int] = ContextVar("next_trace", default=0)


class _TraceNumbers(RandomIdGenerator):
    """A root's trace has the number that is wanted of it, if any."""

    def generate_trace_id(self) -> int:
        return _next_trace.get() or int(super().generate_trace_id())


class OtelSpan:
    """``called``: it is a part of a caller's trace. ``texts``: whether words leave."""

    def __init__(
        self, span: api.Span, tracer: api.Tracer, *, texts: bool, called: bool = False
    ) -> None:
        self._span, self._tracer, self._texts, self.called = span, tracer, texts, called
        self._has_failed = False

    @property
    def trace_id(self) -> str:
        return api.format_trace_id(self._span.get_span_context().trace_id)

    def note(self, values: Mapping[str, Value]) -> None:
        self._span.set_attributes(values)

    def say(self, name: str, words: Iterable[Said], names: Sequence[str] = ()) -> None:
        if not self._texts or not self._span.is_recording():
            return
        hidden = Placeholders(names)
        told = [
            {
                "role": role,
                "parts": [{"type": "text", "content": hidden.hide(text)[:MAX_TEXT_CHARS]}],
            }
            for role, text in words
        ]
        self._span.set_attribute(name, orjson.dumps(told).decode())

    def failed(self, kind: str) -> None:
        if self._has_failed:
            return  # the first to say so knows best
        self._has_failed = True
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR))

    def child(
        self, name: str, values: Mapping[str, Value], kind: Kind
    ) -> AbstractContextManager[Span]:
        return self._opened(name, values, kind)

    @contextmanager
    def _opened(self, name: str, values: Mapping[str, Value], kind: Kind) -> Iterator[Span]:
        made = self._tracer.start_span(
            name,
            context=api.set_span_in_context(self._span),
            kind=_KINDS[kind],
            attributes=values,
        )
        with entered(OtelSpan(made, self._tracer, texts=self._texts, called=self.called)) as span:
            yield span

    def end(self) -> None:
        self._span.end()


@contextmanager
def entered(span: OtelSpan) -> Iterator[Span]:
    """What happens meanwhile is inside of it; an error's text, which may hold anything, is not
    told."""
    token = current.set(span)
    try:
        yield span
    except asyncio.CancelledError:
        span.note({"kefu.cancelled": True})
        raise
    except BaseException as error:
        span.failed(type(error).__name__)
        raise
    finally:
        current.reset(token)
        span.end()


class OtelTracing:
    """Close it; what a target does not take in time is dropped."""

    on = True

    def __init__(
        self,
        targets: Sequence[Target],
        metrics: Metrics,
        *,
        service: str,
        texts: bool,
        timeout_s: float = 5.0,
    ) -> None:
        self._texts = texts
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": service}),
            id_generator=_TraceNumbers(),
            shutdown_on_exit=False,
        )
        self._exporters = [HttpExporter(one, metrics, timeout_s=timeout_s) for one in targets]
        for exporter in self._exporters:
            self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("kefu")
        self._callers = TraceContextTextMapPropagator()

    @contextmanager
    def root(
        self,
        name: str,
        values: Mapping[str, Value],
        *,
        kind: Kind = "internal",
        of: str = "",
        of_request: bool = False,
    ) -> Iterator[Span]:
        asked = current.get()
        if of_request and isinstance(asked, OtelSpan) and asked.called:
            with asked.child(name, values, kind) as span:
                yield span
            return
        token = _next_trace.set(trace_number(of) if of else 0)
        try:
            made = self._tracer.start_span(
                name,
                context=api.set_span_in_context(api.INVALID_SPAN),
                kind=_KINDS[kind],
                attributes=values,
            )
        finally:
            _next_trace.reset(token)
        with entered(OtelSpan(made, self._tracer, texts=self._texts)) as span:
            yield span

    @contextmanager
    def request(
        self, name: str, values: Mapping[str, Value], headers: Mapping[str, str]
    ) -> Iterator[Span]:
        context = self._callers.extract(headers)
        called = api.get_current_span(context).get_span_context().is_valid
        made = self._tracer.start_span(
            name, context=context, kind=SpanKind.SERVER, attributes=values
        )
        span = OtelSpan(made, self._tracer, texts=self._texts, called=called)
        with entered(span) as opened:
            yield opened

    def flush(self) -> None:
        """Send what waits now; blocks."""
        self._provider.force_flush()

    async def aclose(self) -> None:
        for exporter in self._exporters:
            exporter.hurry()
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, STOP_S)


class HttpExporter(SpanExporter):
    """Called by the SDK's thread. A target that is away is left alone for a while, and what is due
    to it meanwhile is dropped: spans are not worth memory."""

    def __init__(self, target: Target, metrics: Metrics, *, timeout_s: float) -> None:
        self._target, self._timeout_s = target, timeout_s
        self._count = metrics.trace_spans
        self._client = httpx.Client(
            headers={**target.headers, "Content-Type": "application/x-protobuf"},
            timeout=timeout_s,
        )
        self._breaker = CircuitBreaker(_BREAKER)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        was = self._breaker.state(time.monotonic())
        if not self._breaker.admits(time.monotonic()):
            return self._counted(len(spans), "dropped")
        try:
            body = encode_spans(spans).SerializeToString()
            answer = self._client.post(self._target.url, content=body)
            answer.raise_for_status()
        except (httpx.HTTPError, RuntimeError) as error:
            self._breaker.failed("server", time.monotonic())
            if was is not BreakerState.OPEN and self._is_open():
                log.warning("traces do not reach %s: %s", self._target.name, _reason(error))
            return self._counted(len(spans), "failed")
        self._breaker.succeeded(time.monotonic())
        return self._counted(len(spans), "sent")

    def hurry(self) -> None:
        """The process ends: no answer is waited for longer than for the others."""
        self._client.timeout = httpx.Timeout(min(self._timeout_s, STOP_S / 2))

    def shutdown(self) -> None:
        self._client.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True

    def _is_open(self) -> bool:
        return self._breaker.state(time.monotonic()) is BreakerState.OPEN

    def _counted(self, spans: int, outcome: str) -> SpanExportResult:
        self._count.labels(self._target.name, outcome).inc(spans)
        return SpanExportResult.SUCCESS if outcome == "sent" else SpanExportResult.FAILURE


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP {error.response.status_code}"
    return type(error).__name__
