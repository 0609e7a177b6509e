"""`kefu worker`: turns, deliveries and timers without a door for customers."""

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.serve import refuse_taken_port, server_config
from domain.errors import ConfigurationError

if TYPE_CHECKING:
    from engine.bootstrap import Kefu


def worker(
    data_dir: Annotated[Path | None, typer.Option(help="Data folder; default ./data.")] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port of /livez, /health and /metrics; default: none.", min=1, max=65535),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Its address; default 127.0.0.1.")] = None,
) -> None:
    """Work on what other processes take in, until told to stop (Ctrl-C or SIGTERM)."""
    from engine.bootstrap import build
    from engine.logs import configure_logging
    from engine.settings import load_settings

    chosen = {"data_dir": data_dir, "worker_port": port, "host": host}
    overrides: dict[str, Any] = {k: v for k, v in chosen.items() if v is not None}
    settings = load_settings(**overrides)
    configure_logging(
        settings.effective_log_level(), settings.log_json, secrets=settings.secret_values()
    )
    if settings.database_dsn().startswith("sqlite"):
        raise ConfigurationError(
            "DATABASE_URL",
            "SQLite is for one process, which kefu serve is",
            "postgresql://…, the same as that of kefu serve",
        )
    if settings.worker_port is None:
        _run_unseen(build(settings, worker=True))
        return
    refuse_taken_port("KEFU_WORKER_PORT", settings.host, settings.worker_port)
    _run_seen(build(settings, worker=True), settings.host, settings.worker_port)


def _run_seen(kefu: "Kefu", host: str, port: int) -> None:
    from api.serving import Server
    from api.worker import create_worker_app

    app = create_worker_app(kefu)
    server = Server(app, server_config(app, host, port))
    server.run()
    if not server.started:
        raise typer.Exit(3)


def _run_unseen(kefu: "Kefu") -> None:
    from uvicorn.loops.auto import auto_loop_factory

    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(_work(kefu))


async def _work(kefu: "Kefu") -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    await kefu.start()
    try:
        await told.wait()
    finally:
        await kefu.stop()
