"""The running service, asked over HTTP."""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import httpx
import typer

from api.cli.console import settings_for
from domain.errors import ConfigurationError, PeerUnavailable

if TYPE_CHECKING:
    from engine.settings import Settings

PEER = "kefu serve"
TIMEOUT_S = 60.0
Answer = dict[str, Any]
Url = Annotated[str, typer.Option(help="Address of the service; default: as the settings say.")]


def client_of(settings: "Settings", timeout_s: float, url: str = "") -> httpx.Client:
    key = settings.api_key.get_secret_value().encode() if settings.api_key else b""
    return httpx.Client(
        base_url=url or settings.address(),
        headers={b"X-API-Key": key} if key else None,
        timeout=timeout_s,
        trust_env=False,
    )


@contextlib.contextmanager
def service_at(url: str, timeout_s: float = TIMEOUT_S) -> Iterator[httpx.Client]:
    """``url``: as it was given to the command, empty for the address of the settings."""
    if url and not url.startswith(("http://", "https://")):
        raise typer.BadParameter("应以 http:// 或 https:// 开头", param_hint="--url")
    with client_of(settings_for(None), timeout_s, url) as client:
        yield client


def answer_of(
    service: httpx.Client,
    method: str,
    path: str,
    content: bytes | None = None,
    *,
    media: str = "application/json",
    query: dict[str, Any] | None = None,
    usable: Callable[[Answer], bool] = lambda _: True,
) -> tuple[httpx.Response, Answer]:
    """The service's JSON, a refusal's too. Raises PeerUnavailable, ConfigurationError."""
    headers = {"Content-Type": media} if content is not None else {}
    address = str(service.base_url).rstrip("/")
    try:
        response = service.request(method, path, params=query, content=content, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PeerUnavailable(PEER, f"{address} 没有回应({type(error).__name__})") from error
    if response.status_code in (401, 403):
        raise ConfigurationError("KEFU_API_KEY", f"{address} refuses it", "the key of that service")
    answer = _object(response)
    if answer is None or response.is_server_error or not usable(answer):
        reason = f"{address} 的回答不能使用:{' '.join(response.text.split())[:200]}"
        raise PeerUnavailable(PEER, reason, status=response.status_code)
    return response, answer


def asked(
    url: str, method: str, path: str, body: Any = None, *, query: Answer | None = None
) -> Answer:
    """Of a success; ``url`` as for `service_at`, ``body`` sent as JSON. Raises as `answer_of`, and
    Exit(1) for a refusal."""
    content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
    with service_at(url) as service:
        return succeeded(*answer_of(service, method, path, content, query=query))


def succeeded(response: httpx.Response, answer: Answer) -> Answer:
    """Raises Exit(1) for a refusal."""
    if not response.is_success:
        refuse(answer)
    return answer


def refuse(answer: Answer) -> NoReturn:
    """Say why the service refused. Raises Exit(1)."""
    error = answer.get("error", {})
    why = filter(None, [error.get("field"), error.get("message") or str(answer)])
    typer.echo(f"被拒绝:{':'.join(why)}", err=True)
    raise typer.Exit(1)


def _object(response: httpx.Response) -> Answer | None:
    try:
        answer = response.json()
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
