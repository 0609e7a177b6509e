"""``python -m sandbox``: the simulated peers in a process of their own."""

import argparse
import ipaddress
import json
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from sandbox.app import SandboxApp, create_app
from sandbox.settings import SandboxSettings

_GRACE_SECONDS = 5


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    defaults = SandboxSettings()
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=6061, help="0 picks a free one (default %(default)s)")
    add("--target", default=defaults.target, help="the service (default %(default)s)")
    add("--allow-remote", action="store_true", help="let other machines reach it: it has no login")
    add("--journal-file", type=Path, help="append every request as a line of JSON")
    add("--journal-entries", type=int, default=defaults.journal_entries)
    add("--journal-bytes", type=int, default=defaults.journal_bytes)
    add("--webhook-secret-file", type=Path, help="file that holds the webhook channel's secret")
    add("--tianwang-secret-file", type=Path, help="file that holds the secret of callbacks")
    add("--smtp-port", type=int, help="of the mail server (default: the port after --port)")
    add("--automatic", action="store_true", help="designers work by themselves")
    add("--seed", type=int, help="makes faults with a rate repeatable")
    add("--json-ready", action="store_true", help="print the ready line for a program to read")
    add("--with-parent", action="store_true", help="end when standard input is closed")
    return parser.parse_args(arguments)


def settings_from(options: argparse.Namespace) -> SandboxSettings:
    return SandboxSettings(
        target=options.target,
        webhook_secret=_secret(options.webhook_secret_file),
        tianwang_secret=_secret(options.tianwang_secret_file),
        journal_file=options.journal_file,
        journal_entries=options.journal_entries,
        journal_bytes=options.journal_bytes,
        smtp_port=_smtp_port(options),
        automatic=options.automatic,
        seed=options.seed,
    )


def _smtp_port(options: argparse.Namespace) -> int:
    if options.smtp_port is not None:
        return int(options.smtp_port)
    # 0: a free one, as --port has it.
    return min(options.port + 1, 65_535) if options.port else 0


def _secret(file: Path | None) -> str | None:
    return file.read_text("utf-8").strip() if file else None


class SandboxServer(uvicorn.Server):
    """Says when it is ready, and lets go of hanging requests when it ends."""

    def __init__(self, config: uvicorn.Config, app: SandboxApp, ready: str) -> None:
        super().__init__(config)
        self._app, self._ready = app, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(self._ready, flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.sandbox.halt()
        await super().shutdown(sockets)


def refuse_remote(host: str) -> None:
    """Raises ValueError if ``host`` is not loopback: whoever reaches the sandbox controls it."""
    if host == "localhost":
        return
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise ValueError(
            f"--host {host!r} is open to other machines; add --allow-remote to mean it"
        )


def bind(host: str, port: int) -> socket.socket:
    """Raises OSError if the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def ready_line(url: str, target: str, *, as_json: bool) -> str:
    if as_json:
        return "READY " + json.dumps({"url": url, "target": target})
    return f"沙箱已就绪:{url} (说明页 {url}/ ,接口文档 {url}/docs ),模拟客户的消息发往 {target}"


def end_with_parent(server: uvicorn.Server) -> None:
    """A parent that dies, however it dies, closes our standard input."""

    def watch() -> None:
        while sys.stdin.buffer.read(4096):
            pass
        server.should_exit = True

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    try:
        if not options.allow_remote:
            refuse_remote(options.host)
        app = create_app(settings_from(options))
        listener = bind(options.host, options.port)
    except (OSError, ValueError) as error:
        print(f"sandbox: cannot start: {error}", file=sys.stderr)
        return 2
    with listener:
        host = f"[{options.host}]" if ":" in options.host else options.host
        url = f"http://{host}:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            backlog=2048,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        ready = ready_line(url, app.sandbox.target, as_json=options.json_ready)
        server = SandboxServer(config, app, ready)
        if options.with_parent:
            end_with_parent(server)
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
