"""`kefu serve`: the service, and with --sandbox the simulated peers beside it."""

import contextlib
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import typer
from pydantic import SecretStr

from domain.errors import ConfigurationError

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

    from engine.settings import Settings

SANDBOX_READY_S = 10.0


def serve(
    host: Annotated[str | None, typer.Option(help="Address; default 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; default 6060.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Data folder; default ./data.")] = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Start the simulated peers and use them.")
    ] = False,
    sandbox_port: Annotated[int, typer.Option(help="Port of the sandbox.")] = 6061,
    samples: Annotated[
        bool, typer.Option("--samples", help="Fill an empty knowledge base with the samples.")
    ] = False,
) -> None:
    """Run the service until it is told to stop (Ctrl-C or SIGTERM)."""
    from engine.settings import load_settings

    chosen = {"host": host, "port": port, "data_dir": data_dir}
    overrides: dict[str, Any] = {k: v for k, v in chosen.items() if v is not None}
    if sandbox:
        overrides["sandbox_url"] = f"http://127.0.0.1:{sandbox_port}"
    settings = load_settings(**overrides)
    if not sandbox:
        _run(settings, samples=samples)
        return
    own: dict[str, SecretStr] = {}
    if settings.api_key is not None and settings.webhook_secret is None:
        # Simulated customers have no key; with a secret of this run their messages are signed.
        own["webhook_secret"] = SecretStr(secrets.token_urlsafe(24))
    if settings.tianwang_callback_secret is None:
        own["tianwang_callback_secret"] = SecretStr(secrets.token_urlsafe(24))
    settings = settings.model_copy(update=own)
    with _sandbox_process(sandbox_port, settings.address()):
        _share_secret(settings)
        _run(settings, samples=samples)


def _share_secret(settings: "Settings") -> None:
    """Over loopback HTTP, since a command line can be read by everybody on the machine."""
    shared = (
        ("webhook/secret", "secret", settings.webhook_secret),
        ("tianwang/secret", "secret", settings.tianwang_callback_secret),
        ("tianwang/key", "key", settings.api_key),
    )
    for address, name, value in shared:
        if value is not None:
            url = f"{settings.sandbox_url}/_sandbox/{address}"
            httpx.put(url, json={name: value.get_secret_value()}).raise_for_status()


def _run(settings: "Settings", *, samples: bool) -> None:
    from api.app import create_app
    from api.serving import Server
    from engine.bootstrap import build
    from engine.logs import configure_logging

    configure_logging(
        settings.effective_log_level(), settings.log_json, secrets=settings.secret_values()
    )
    refuse_taken_port("KEFU_PORT", settings.host, settings.port)
    kefu = build(settings)
    app = create_app(kefu, samples=samples)
    config = server_config(app, settings.host, settings.port)
    server = Server(app, config, drain_s=settings.drain_s)
    server.run()
    if not server.started:
        raise typer.Exit(3)


def server_config(app: "FastAPI", host: str, port: int) -> "uvicorn.Config":
    import uvicorn

    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=15,
        timeout_keep_alive=75,  # longer than proxies keep theirs: they close first
        server_header=False,
    )


def refuse_taken_port(variable: str, host: str, port: int) -> None:
    """One line instead of a stack trace, before anything is started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                variable, f"{host}:{port} cannot be used ({error.strerror})", "a free port"
            ) from error


@contextlib.contextmanager
def _sandbox_process(port: int, target: str) -> Iterator[None]:
    """The sandbox as a process of its own: the product does not import it."""
    command = [sys.executable, "-m", "sandbox", "--port", str(port), "--target", target]
    command.append("--automatic")  # orders are seen to their end; its page turns that off
    # With our end of its standard input open: it ends when we do, however we end.
    command.append("--with-parent")
    process = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603 - our own module with our own arguments
    try:
        _await_port(port, process)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    ends = time.monotonic() + SANDBOX_READY_S
    while time.monotonic() < ends:
        if process.poll() is not None:
            raise ConfigurationError(
                "--sandbox-port", f"the sandbox did not start on port {port}", "a free port"
            )
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.05)
    raise ConfigurationError(
        "--sandbox-port", f"the sandbox is not ready after {SANDBOX_READY_S} s", "a free machine"
    )
