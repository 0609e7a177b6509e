"""Control of the sandbox: journal, faults, target, health, reset."""

from collections.abc import Mapping
from itertools import islice
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, HTTPException, Query
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from sandbox.faults import FaultSpec
from sandbox.peer import Peer, Sandbox, json_answer
from sandbox.validation import problem


class Target(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    url: str = Field(min_length=1, max_length=2_048)


def base_url(text: str) -> str:
    """``text`` without trailing slash. Raises ValueError if it is no http(s) address."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host or (url.port or 1) > 65_535:
        raise ValueError(f"{text!r} is no address such as http://127.0.0.1:6060")
    return text.rstrip("/")


async def one_line_422(request: Request, error: Exception) -> Response:
    """The first thing that is wrong, in one line."""
    assert isinstance(error, RequestValidationError)
    return json_answer({"detail": problem(error.errors(), skip=1)}, 422)


class Control:
    """The routes under ``/_sandbox`` that belong to no peer."""

    def __init__(self, sandbox: Sandbox, peers: Mapping[str, Peer]) -> None:
        self._sandbox, self._peers = sandbox, peers
        self.router = APIRouter(prefix="/_sandbox", tags=["sandbox"])
        add = self.router.add_api_route
        add("/health", self.health, methods=["GET"])
        add("/journal", self.journal, methods=["GET"])
        add("/journal", self.clear_journal, methods=["DELETE"])
        add("/faults", self.faults, methods=["GET"])
        add("/faults", self.add_fault, methods=["POST"], status_code=201)
        add("/faults", self.clear_faults, methods=["DELETE"])
        add("/faults/{fault_id}", self.remove_fault, methods=["DELETE"])
        add("/target", self.target, methods=["GET"])
        add("/target", self.set_target, methods=["PUT"])
        add("/reset", self.reset, methods=["POST"])

    async def health(self) -> dict[str, Any]:
        return {
            "status": "ok",
            "service": "kefu-sandbox",
            "uptime_seconds": round(self._sandbox.clock() - self._sandbox.started_at, 3),
            "target": self._sandbox.target,
            "journal": self._sandbox.journal.summary(),
            "faults": len(self._sandbox.faults.list()),
            "peers": {name: peer.facts() for name, peer in self._peers.items()},
        }

    async def journal(
        self,
        peer: str | None = None,
        kind: str | None = None,
        since: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=5_000)] = 1_000,
        at_least: Annotated[int, Query(ge=0)] = 0,
        wait: Annotated[float, Query(ge=0, le=120)] = 0.0,
    ) -> Response:
        """Requests with seq > since, oldest first; may wait for ``at_least`` with an outcome."""
        journal = self._sandbox.journal

        def enough() -> bool:
            entries = journal.select(peer=peer, kind=kind, since=since)
            return at_least <= sum(entry.settled for entry in entries)

        if wait and at_least:
            await self._sandbox.changes.until(enough, wait)
        chosen = list(islice(journal.select(peer=peer, kind=kind, since=since), limit))
        following = chosen[-1].seq if chosen else since
        page = {"entries": [entry.as_dict() for entry in chosen], "next": following}
        return json_answer(page | {"journal": journal.summary()})

    async def clear_journal(self) -> dict[str, int]:
        return {"cleared": self._sandbox.journal.clear()}

    async def faults(self) -> dict[str, Any]:
        return {"faults": self._sandbox.faults.list()}

    async def add_fault(self, fault: FaultSpec) -> dict[str, Any]:
        """Make a peer misbehave: ``count`` times, at a ``rate``, or until cleared."""
        known = [
            peer for peer in self._peers.values() if fault.peer == "*" or peer.knows(fault.peer)
        ]
        if not known:
            names = ", ".join(self._peers)
            raise HTTPException(404, f"peer: {fault.peer!r} is unknown; there are: {names}, *")
        if fault.kind == "duplicate" and not any(peer.delivers for peer in known):
            names = ", ".join(peer.name for peer in self._peers.values() if peer.delivers)
            raise HTTPException(422, f"peer: {fault.peer!r} delivers nothing; these do: {names}")
        return self._sandbox.faults.add(fault)

    async def clear_faults(self, peer: str | None = None) -> dict[str, int]:
        return {"cleared": self._sandbox.faults.clear(peer)}

    async def remove_fault(self, fault_id: str) -> dict[str, str]:
        if not self._sandbox.faults.remove(fault_id):
            raise HTTPException(404, f"fault {fault_id!r} is not in force")
        return {"removed": fault_id}

    async def target(self) -> dict[str, str]:
        return {"url": self._sandbox.target}

    async def set_target(self, target: Target) -> dict[str, str]:
        """Where simulated customers write to; pending messages go to the new address."""
        try:
            self._sandbox.target = base_url(target.url)
        except ValueError as error:
            raise HTTPException(422, f"url: {error}") from error
        self._sandbox.target_changes.notify()
        return {"url": self._sandbox.target}

    async def reset(self) -> dict[str, str]:
        """Forget everything but the address of the service."""
        self._sandbox.journal.clear()
        self._sandbox.faults.clear()
        for peer in self._peers.values():
            await peer.reset()
        return {"status": "ok"}
