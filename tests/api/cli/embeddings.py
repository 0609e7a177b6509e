"""An OpenAI-compatible embeddings server on loopback that remembers what it was asked to embed."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DIMENSIONS = 8


@dataclass
class Embeddings:
    url: str
    texts: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    """Texts of each call."""


@contextlib.contextmanager
def embeddings_server() -> Iterator[Embeddings]:
    asked = Embeddings("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.texts += body["input"]
            asked.sizes.append(len(body["input"]))
            data = [{"index": n, "embedding": vector(t)} for n, t in enumerate(body["input"])]
            answer = json.dumps({"data": data}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    asked.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def vector(text: str) -> list[float]:
    """The same for the same text, and seldom for another."""
    return [byte / 255 - 0.5 for byte in blake2b(text.encode(), digest_size=DIMENSIONS).digest()]
