"""What the guard asks of the clients and the audit log."""

import time
from dataclasses import replace

from api.guard import Recorder, Standing, actor_of
from api.identity import ClientCaller
from engine.clients.clients import Clients
from storage import audit
from storage.clock import iso
from storage.database import Database
from tools.registry import Caller, Role


def standing_of(clients: Clients) -> Standing:
    async def standing(caller: ClientCaller) -> ClientCaller | None:
        client = await clients.standing(caller.name, generation=caller.generation, key=caller.key)
        return replace(caller, role=Role(client.role.value)) if client is not None else None

    return standing


def recorder(database: Database) -> Recorder:
    async def record(caller: Caller, method: str, path: str, status: int) -> None:
        now = time.time()
        detail = {"role": caller.role.value, "status": status}
        await database.write(
            lambda c: audit.record(
                c,
                at=iso(now),
                actor=actor_of(caller),
                action=f"api.{method.lower()}",
                subject=path,
                detail=detail,
            )
        )

    return record
