"""Traces: turns, requests and deliveries as the outermost spans, and where all spans are sent.

The trace of a turn has a number that follows from the turn's, so whatever process delivers its
messages adds to the same trace. Only a turn that a request with a ``traceparent`` began is a part
of that caller's trace instead.
"""

import base64
import hashlib
import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from domain.errors import ConfigurationError
from domain.spans import UNTRACED, Kind, Span, Value
from engine.metrics import Metrics
from engine.settings import Settings

log = logging.getLogger(__name__)


class Tracing(Protocol):
    on: bool

    def root(
        self,
        name: str,
        values: Mapping[str, Value],
        *,
        kind: Kind = "internal",
        of: str = "",
        of_request: bool = False,
    ) -> AbstractContextManager[Span]:
        """An outermost span. ``of``: what its trace's number follows from; empty: drawn at random.
        ``of_request``: a part of the request that is under way, where its caller traces."""

    def request(
        self, name: str, values: Mapping[str, Value], headers: Mapping[str, str]
    ) -> AbstractContextManager[Span]:
        """What somebody asks of us; ``headers``: where they may tell their trace."""

    async def aclose(self) -> None:
        """Send what waits, within seconds."""


class NoTracing:
    """Where nobody traces."""

    on = False

    def root(
        self,
        name: str,
        values: Mapping[str, Value],
        *,
        kind: Kind = "internal",
        of: str = "",
        of_request: bool = False,
    ) -> AbstractContextManager[Span]:
        return UNTRACED

    def request(
        self, name: str, values: Mapping[str, Value], headers: Mapping[str, str]
    ) -> AbstractContextManager[Span]:
        return UNTRACED

    async def aclose(self) -> None:
        return None


NO_TRACING = NoTracing()


@dataclass(frozen=True, slots=True)
class Target:
    """Where spans are sent, as OTLP over HTTP."""

    name: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def trace_number(of: str) -> int:
    """Of the trace of a turn, by the turn's id; never 0."""
    return int.from_bytes(hashlib.blake2b(of.encode(), digest_size=16).digest()) or 1


def targets(settings: Settings) -> list[Target]:
    """Raises ConfigurationError for headers that cannot be read."""
    if settings.otel_sdk_disabled:
        return []
    found = []
    url = settings.otel_traces_endpoint
    if not url and settings.otel_endpoint:
        url = f"{settings.otel_endpoint}/v1/traces"
    if url:
        found.append(Target("otlp", url, _headers(settings)))
    if settings.langfuse_public_key and settings.langfuse_secret_key is not None:
        pair = f"{settings.langfuse_public_key}:{settings.langfuse_secret_key.get_secret_value()}"
        headers = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        address = f"{settings.langfuse_host}/api/public/otel/v1/traces"
        found.append(Target("langfuse", address, headers))
    if settings.langsmith_tracing and settings.langsmith_api_key is not None:
        headers = {
            "x-api-key": settings.langsmith_api_key.get_secret_value(),
            "Langsmith-Project": settings.langsmith_project,
        }
        found.append(Target("langsmith", f"{settings.langsmith_endpoint}/otel/v1/traces", headers))
    return found


def _headers(settings: Settings) -> dict[str, str]:
    told = settings.otel_headers.get_secret_value() if settings.otel_headers else ""
    found = {}
    for part in filter(str.strip, told.split(",")):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise ConfigurationError(
                "OTEL_EXPORTER_OTLP_HEADERS",
                "a header has no name or no =",
                "name=value,name=value",
            )
        found[name.strip()] = value.strip()
    return found


def build_tracing(settings: Settings, metrics: Metrics) -> Tracing:
    """The SDK is loaded only where there is somewhere to send spans."""
    found = targets(settings)
    if not found:
        return NO_TRACING
    from engine.otel import OtelTracing

    log.info("traces go to %s, texts %s", [one.name for one in found], settings.trace_text)
    return OtelTracing(
        found,
        metrics,
        service=settings.otel_service_name,
        texts=settings.trace_text == "hidden",
        timeout_s=settings.trace_timeout_s,
    )


def silence_langchain() -> None:
    """Its tracer goes by LangSmith's variables and sends prompts and states as they are. For
    whatever runs the graph: the service, the command line, Studio."""
    from langsmith.run_trees import configure

    configure(enabled=False)
