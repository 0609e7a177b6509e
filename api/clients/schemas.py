"""Requests and answers of clients; signing in and heartbeats are seed 003's."""

from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.fields import Identifier, Name
from api.platform.schemas import ErrorOut
from domain.clients import ClientRole, ClientState

MAX_STATUS_BYTES = 4_096
MAX_OVERLAP_HOURS = 8_784
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorOut} for code in (400, 401, 403, 404, 409, 413, 415, 422, 503)
}
SIGN_IN_ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorOut} for code in (400, 401, 413, 415, 422, 429, 503)
}


class SignIn(BaseModel):
    agent_id: Identifier
    api_key: Annotated[str, Field(min_length=1, max_length=256)]

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"agent_id": "agent_001", "api_key": "your-api-key"}]}
    )


class SignedInOut(BaseModel):
    """``expires_in``: seconds."""

    access_token: str
    token_type: Literal["bearer"]
    expires_in: int


class Status(BaseModel):
    """What a client says of itself; it may say more."""

    model_config = ConfigDict(extra="allow")

    cpu_percent: Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)] | None = None
    memory_percent: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = None
    wx_online: bool | None = None
    messages_processed: Annotated[int, Field(ge=0, le=2**53)] | None = None


def _of_moderate_size(status: Status) -> Status:
    try:
        size = len(orjson.dumps(status.model_dump()))
    except (TypeError, ValueError):
        raise ValueError("含有无法编码的内容") from None
    if size > MAX_STATUS_BYTES:
        raise ValueError(f"超过 {MAX_STATUS_BYTES} 字节")
    return status


class Heartbeat(BaseModel):
    agent_id: Identifier
    status: Annotated[Status, AfterValidator(_of_moderate_size)] = Status()

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "agent_id": "agent_001",
                    "status": {
                        "cpu_percent": 5.2,
                        "memory_percent": 15.8,
                        "wx_online": True,
                        "messages_processed": 150,
                    },
                }
            ]
        }
    )

    def said(self) -> dict[str, Any]:
        return self.status.model_dump(exclude_none=True)


class HeartbeatOut(BaseModel):
    """``registered``: false: the service knows no such client and keeps nothing of it.
    ``interval_s``: until the next one."""

    status: Literal["ok"] = "ok"
    agent_id: str
    registered: bool
    interval_s: float
    server_time: str


class KeyOut(BaseModel):
    """``state``: ending: it was rotated and goes on until ``expires_at``."""

    id: int
    prefix: str
    state: Literal["valid", "ending", "expired", "revoked"]
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None


class ClientOut(BaseModel):
    """``status``: of the last heartbeat; ``state`` follows from its time."""

    agent_id: str
    name: str
    role: ClientRole
    enabled: bool
    state: ClientState
    last_seen_at: str | None
    status: dict[str, Any] | None
    created_at: str
    keys: list[KeyOut]


class ClientList(BaseModel):
    items: list[ClientOut]
    total: int
    limit: int
    offset: int


class NewClient(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"agent_id": "agent_001", "name": "一号店", "role": "agent"}]
        },
    )

    agent_id: Identifier
    name: Name = ""
    role: ClientRole = ClientRole.AGENT


class ClientChange(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"enabled": False}]})

    name: Annotated[Name, Field(min_length=1)] | None = None
    role: ClientRole | None = None
    enabled: bool | None = None


class NewKeyIn(BaseModel):
    """``overlap_hours``: for how long the old keys go on; 0 ends them now."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{}]})

    overlap_hours: (
        Annotated[float, Field(ge=0, le=MAX_OVERLAP_HOURS, allow_inf_nan=False)] | None
    ) = None


class NewKeyOut(BaseModel):
    """``api_key`` is shown this once."""

    agent_id: str
    key_id: int
    api_key: str
