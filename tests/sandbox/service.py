"""A stand-in for the service: records what simulated customers send, answers as told."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tests.http_server import Handler, serving


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

    class Received(Handler):
        def do_POST(self) -> None:
            body = self.body()
            headers = {name.lower(): value for name, value in self.headers.items()}
            arrival = Arrival(self.path, headers, body)
            service.arrivals.append(arrival)
            self.reply(service.answer(arrival))

    with serving(Received, port) as service.url:
        yield service
