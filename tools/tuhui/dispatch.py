"""The seed's own client of Tuhui's dispatch: its names and signatures, over `TuhuiClient`."""

from typing import Any

import httpx

from tools.tuhui.client import TuhuiClient
from tools.tuhui.protocol import DesignTask, DispatchOrder, Queue

IMAGE_PROCESS = "image_process"


class TuhuiDispatchClient:
    """Seed 001's methods. Where the seed's return False or an empty value for a failure, these
    raise: PeerUnavailable (the same call may succeed later) or PeerRejected (it will not), both
    PeerError, so that «nobody is online» is never taken for «Tuhui is down»."""

    def __init__(self, client: TuhuiClient) -> None:
        self._client = client

    async def get_online_designers(self) -> list[str]:
        return list(await self._client.online_designers())

    async def create_task(
        self,
        task_name: str,
        description: str,
        task_type: str = IMAGE_PROCESS,
        priority: int = 2,
        *,
        reference: str = "",
    ) -> str:
        """The task's id. With ``reference`` it can be found again where the answer is lost."""
        order = DispatchOrder(reference, task_name, description, task_type, priority)
        return await self._client.create(order)

    async def assign_task(self, task_id: str, designer_name: str, notes: str = "") -> bool:
        """True; what is not assigned raises."""
        await self._client.assign(task_id, designer_name, notes)
        return True

    async def get_task_status(self, task_id: str) -> dict[str, Any]:
        """``{"task_id", "status", "assigned_to", "description", "notes", "reference"}``."""
        return _told(await self._client.task(task_id))

    async def complete_task(self, task_id: str, notes: str = "") -> bool:
        """True; what is not completed raises."""
        await self._client.complete(task_id, notes)
        return True

    async def get_queue(self) -> dict[str, Any]:
        """``{"pending_tasks": {"count", "tasks"}, "suggestion"}``."""
        queue: Queue = await self._client.queue()
        tasks = [_told(task) for task in queue.tasks]
        return {
            "pending_tasks": {"count": len(tasks), "tasks": tasks},
            "suggestion": queue.suggestion,
        }


def get_tuhui_dispatch_client(
    url: str, key: str | None, http: httpx.AsyncClient, timeout: float = 10.0
) -> TuhuiDispatchClient:
    """``http`` belongs to the caller. Raises ConfigurationError for a key no header can carry."""
    return TuhuiDispatchClient(TuhuiClient(url, key, http, timeout))


def _told(task: DesignTask) -> dict[str, Any]:
    return {
        "task_id": task.task_id,
        "status": task.status,
        "assigned_to": task.assigned_to,
        "description": task.description,
        "notes": task.notes,
        "reference": task.reference,
    }
