"""What can be set about a sandbox. What traffic makes grow has a bound here."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """``target``: base URL of the service that simulated customers write to.

    ``webhook_secret``: shared with the service; messages are signed and verified when it is set.
    ``webhook_max_skew``: seconds a signed timestamp may be off; None accepts any.
    ``tianwang_secret`` and ``tianwang_max_skew``: the same of the callbacks that Tianwang receives.
    ``smtp_port``: of the mail server; 0 takes a free one, None starts none.
    ``tuhui_api_key``: the only key that Tuhui believes; None believes any.
    ``automatic``: designers work by themselves, and Tuhui tells the service of news.
    ``seed`` makes faults with a rate, and jitter, repeatable.
    """

    target: str = "http://127.0.0.1:6060"
    webhook_secret: str | None = None
    webhook_max_skew: float | None = None
    tianwang_secret: str | None = None
    tianwang_max_skew: float | None = None
    smtp_port: int | None = None
    tuhui_api_key: str | None = None
    journal_file: Path | None = None
    journal_entries: int = 20_000
    journal_bytes: int = 32 * 1024 * 1024
    journal_body_bytes: int = 64 * 1024
    max_body_bytes: int = 16 * 1024 * 1024
    max_messages: int = 50_000
    max_pending: int = 20_000
    delivery_concurrency: int = 64
    delivery_seconds: float = 600.0
    automatic: bool = False
    seed: int | None = None
