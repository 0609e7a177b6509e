"""Group robots that answer with a code: what it means, to us and to who set them up."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from domain.errors import PeerRejected, PeerUnavailable
from tools import http_errors
from tools.http_errors import JSON_HEADERS, error_of_response
from tools.wx.errors import Fault

_SHOWN_CHARS = 200


@dataclass(frozen=True, slots=True)
class Answers:
    """``code`` and ``says``: the fields of an answer. ``unknown``: of all codes not in ``faults``.
    HTTP's status says little: most refusals come with 200."""

    peer: str
    code: str
    says: str
    faults: Mapping[int, Fault]
    unknown: str

    def check(self, answer: bytes, response: httpx.Response) -> None:
        """Raises PeerUnavailable or PeerRejected for all but code 0."""
        found = read_object(answer)
        code = found.get(self.code)
        if not isinstance(code, int) or isinstance(code, bool):
            problem = error_of_response(self.peer, response, reason=f"no {self.code} in its answer")
            # Not rejected: a proxy's page says nothing about the next attempt.
            raise problem or PeerUnavailable(self.peer, f"its answer holds no {self.code}")
        if code == 0:
            return
        fault = self.faults.get(code, Fault(self.unknown))
        shown = " ".join(str(found.get(self.says, "")).split())[:_SHOWN_CHARS]
        reason = f"{self.code} {code}: {fault.advice}" + (f" ({shown})" if shown else "")
        if fault.again or response.status_code >= 500:
            raise PeerUnavailable(self.peer, reason, retry_after=fault.after_s)
        raise PeerRejected(self.peer, reason)


async def post(
    http: httpx.AsyncClient, url: str, body: bytes, answers: Answers, *, key: str, timeout: float
) -> None:
    """Raises PeerUnavailable or PeerRejected; never with the ``key`` that the address carries, also
    where the peer repeats it."""
    response, answer = await http_errors.exchange(
        http,
        "POST",
        url,
        peer=answers.peer,
        timeout=timeout,
        headers=JSON_HEADERS,
        content=body,
    )
    answers.check(answer.replace(key.encode(), b"***") if key else answer, response)


def read_object(answer: bytes) -> dict[str, Any]:
    """Empty for what is no JSON object."""
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def json_body(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
