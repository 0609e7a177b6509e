"""A collector of traces: OTLP over HTTP, as OpenTelemetry's own, Langfuse's and LangSmith's are.

``POST /otlp/v1/traces`` is a plain collector, ``/otlp/langfuse/api/public/otel/v1/traces`` and
``/otlp/langsmith/otel/v1/traces`` ask for the keys that those ask for. What LangChain's own tracer
would send to LangSmith (``/otlp/langsmith/runs``) is refused, and in the journal.
"""

import base64
from collections import deque
from typing import Any, ClassVar

from fastapi import Query
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # ships no stubs
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.requests import Request
from starlette.responses import Response

from sandbox.peer import Peer, Sandbox, call_of, json_answer

MAX_SPANS = 20_000
PROTOBUF = "application/x-protobuf"
_TRACES = "/v1/traces"
_OTHERS = ("langfuse", "langsmith")
_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")


class OtlpPeer(Peer):
    name = "otlp"
    title = "链路追踪"
    summary = "接收 OTLP 链路数据（通用采集器、Langfuse、LangSmith 三种地址），可按轮次查看。"
    links: ClassVar[tuple[tuple[str, str], ...]] = (("收到的 span", "/_sandbox/otlp/spans"),)

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._spans: deque[dict[str, Any]] = deque(maxlen=MAX_SPANS)
        add = self.router.add_api_route
        add("/{path:path}", self.receive, methods=["POST"], response_model=None)
        self.admin.add_api_route("/spans", self.spans, methods=["GET"])

    async def receive(self, path: str, request: Request) -> Response:
        """Spans as protobuf; nothing else is taken."""
        first = path.partition("/")[0]
        target = first if first in _OTHERS else self.name
        if not f"/{path}".endswith(_TRACES):
            return json_answer({"detail": f"no such address: {path}"}, 404)
        if not _may_send(target, request):
            call_of(request).verdict(accepted=False)
            return json_answer({"detail": "no key"}, 401)
        if request.headers.get("content-type") != PROTOBUF:
            return json_answer({"detail": f"not {PROTOBUF}"}, 415)
        try:
            sent = ExportTraceServiceRequest.FromString(await request.body())
        except DecodeError:
            return json_answer({"detail": "no ExportTraceServiceRequest"}, 400)
        for one in sent.resource_spans:
            resource = _values(one.resource.attributes)
            for scope in one.scope_spans:
                self._spans.extend(_shown(target, resource, span) for span in scope.spans)
        call_of(request).verdict(accepted=True)
        self.sandbox.changes.notify()
        answer = ExportTraceServiceResponse().SerializeToString()
        return Response(answer, media_type=PROTOBUF)

    async def spans(
        self,
        target: str = "",
        name: str = "",
        trace_id: str = "",
        at_least: int = Query(default=0, ge=0),
        wait: float = Query(default=0.0, ge=0, le=60),
    ) -> dict[str, Any]:
        """In the order of their arrival; may wait until there are so many."""

        def chosen() -> list[dict[str, Any]]:
            wanted = {"target": target, "name": name, "trace_id": trace_id}
            return [
                span
                for span in self._spans
                if all(not value or span[key] == value for key, value in wanted.items())
            ]

        await self.sandbox.changes.until(lambda: len(chosen()) >= at_least, wait)
        return {"spans": chosen()}

    def facts(self) -> dict[str, Any]:
        return {"spans": len(self._spans)}

    async def reset(self) -> None:
        self._spans.clear()


def _may_send(target: str, request: Request) -> bool:
    if target == "langsmith":
        return bool(request.headers.get("x-api-key"))
    if target != "langfuse":
        return True
    scheme, _, pair = request.headers.get("authorization", "").partition(" ")
    try:
        public, _, secret = base64.b64decode(pair).decode().partition(":")
    except ValueError:
        return False
    return scheme == "Basic" and bool(public and secret)


def _shown(target: str, resource: dict[str, Any], span: Span) -> dict[str, Any]:
    return {
        "target": target,
        "service": resource.get("service.name", ""),
        "name": span.name,
        "kind": _KINDS[span.kind],
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_id": span.parent_span_id.hex(),
        "attributes": _values(span.attributes),
        "is_error": span.status.code == 2,
        "message": span.status.message,
        "events": len(span.events),
        "ms": (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6,
    }


def _values(pairs: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        assert isinstance(pair, KeyValue)
        found[pair.key] = _value(pair.value)
    return found


def _value(value: AnyValue) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, which) if which else None
