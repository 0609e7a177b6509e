"""A stand-in for the service: records what simulated customers send, answers as told."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Arrival(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded


class Service:
    """``answer`` gives the HTTP status for an arrival; it runs on the request's own thread."""

    def __init__(self, answer: Callable[[Arrival], int]) -> None:
        self.answer = answer
        self.arrivals: list[Arrival] = []
        self.url = ""

    def texts(self, chat_id: str) -> list[str]:
        messages = (arrival.json() for arrival in self.arrivals)
        return [message["text"] for message in messages if message["chat_id"] == chat_id]


def _accept(_: Arrival) -> int:
    return 200


@contextmanager
def running_service(answer: Callable[[Arrival], int] = _accept, port: int = 0) -> Iterator[Service]:
    service = Service(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            arrival = Arrival(self.path, headers, body)
            service.arrivals.append(arrival)
            self.send_response(service.answer(arrival))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Tests read arrivals, not logs."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    service.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
