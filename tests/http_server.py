"""An HTTP server on threads of the test process that leaves neither them nor connections behind.

>>> from tests.http_server import Handler, serving
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Keeps connections open and logs nothing; a request runs on the thread of its connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["content-length"]))

    def reply(self, status: int, body: bytes = b"") -> None:
        try:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True  # The caller has hung up.

    def log_message(self, format: str, *args: object) -> None:
        """Tests look at what was asked."""


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that closing it waits for them

    def __init__(self, port: int, handler: type[Handler]) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self._accepted: list[socket.socket] = []

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        self._accepted.append(connection)
        return connection, address

    def server_close(self) -> None:
        for connection in self._accepted:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()


@contextmanager
def serving(handler: type[Handler], port: int = 0) -> Iterator[str]:
    """Its address, without a slash at the end. Requests under way end before the block does."""
    server = _Server(port, handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="http server")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
