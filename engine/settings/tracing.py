"""Where traces go, by the standard variables of OpenTelemetry, Langfuse and LangSmith.

What else OpenTelemetry's SDK knows (OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_BSP_…) it
reads from the environment itself.
"""

from typing import Literal

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from engine.settings.fields import HttpUrl, PositiveSeconds, setting


class TracingSettings(BaseSettings):
    """Traces"""

    trace_text: Literal["off", "hidden"] = setting(
        "TRACE_TEXT",
        "off",
        "off: traces hold no word of customers, prompts or answers; hidden: they do, with "
        "placeholders for personal data.",
    )
    trace_timeout_s: PositiveSeconds = setting(
        "TRACE_TIMEOUT_S", 5, "Seconds for sending one batch of spans, which nobody waits for."
    )
    otel_endpoint: HttpUrl = setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        "OTLP collector (HTTP, protobuf); spans go to /v1/traces below it. Default: none.",
    )
    otel_traces_endpoint: HttpUrl = setting(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "", "The same, as the whole address for spans."
    )
    otel_headers: SecretStr | None = setting(
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS OTEL_EXPORTER_OTLP_TRACES_HEADERS"
        " OTEL_EXPORTER_OTLP_HEADERS",
        None,
        "Headers for the collector: name=value,name=value.",
    )
    otel_service_name: str = setting(
        "OTEL_SERVICE_NAME", "kefu", "This service's name in traces.", min_length=1
    )
    otel_sdk_disabled: bool = setting(
        "OTEL_SDK_DISABLED", False, "true: no traces, whatever else is set."
    )
    langfuse_public_key: str = setting(
        "LANGFUSE_PUBLIC_KEY", "", "With the secret key: traces go to Langfuse."
    )
    langfuse_secret_key: SecretStr | None = setting(
        "LANGFUSE_SECRET_KEY", None, "Secret key of the Langfuse project."
    )
    langfuse_host: HttpUrl = setting(
        "LANGFUSE_HOST LANGFUSE_HOST LANGFUSE_BASE_URL",
        "https://cloud.langfuse.com",
        "Address of Langfuse.",
    )
    langsmith_tracing: bool = setting(
        "LANGSMITH_TRACING LANGSMITH_TRACING LANGSMITH_TRACING_V2 LANGCHAIN_TRACING_V2",
        False,
        "true, with the key: our own spans go to LangSmith. LangChain's tracer, which would send "
        "texts as they are, stays off.",
    )
    langsmith_api_key: SecretStr | None = setting(
        "LANGSMITH_API_KEY LANGSMITH_API_KEY LANGCHAIN_API_KEY", None, "Key of LangSmith."
    )
    langsmith_endpoint: HttpUrl = setting(
        "LANGSMITH_ENDPOINT LANGSMITH_ENDPOINT LANGCHAIN_ENDPOINT",
        "https://api.smith.langchain.com",
        "Address of LangSmith.",
    )
    langsmith_project: str = setting(
        "LANGSMITH_PROJECT LANGSMITH_PROJECT LANGCHAIN_PROJECT", "default", "Project of LangSmith."
    )
