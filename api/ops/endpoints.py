"""Health, metrics, and the rows that an operator acts on."""

import time
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from prometheus_client import generate_latest
from pydantic import BaseModel
from sqlalchemy import text
from starlette.responses import Response

from api.dependencies import TheActor, TheKefu
from api.envelopes import Json
from api.fields import Identifier
from api.platform.schemas import ErrorOut
from domain.errors import InvalidInput, KefuError
from domain.pricing import Service
from engine.bootstrap import Kefu
from engine.prices import Prices
from storage import desk_talks, history, kf
from storage.clock import iso

router = APIRouter(tags=["ops"])
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorOut} for code in (400, 401, 403, 404, 413, 415, 422, 503)
}
REFUSED: dict[int | str, dict[str, Any]] = {code: {"model": ErrorOut} for code in (401, 403)}
Limit = Annotated[int, Query(ge=1, le=200)]
Offset = Annotated[int, Query(ge=0, le=1_000_000)]
RowId = Annotated[int, Path(ge=1, le=2**62)]


class HandoffChange(BaseModel):
    status: Literal["taken", "closed"]
    agent: Identifier | None = None


@router.get("/api/health")
async def api_health(kefu: TheKefu) -> Response:
    """One answer that satisfies seeds 000 and 002."""
    now = time.time()
    stamp = datetime.fromtimestamp(now, kefu.settings.zone())
    return Json(
        {
            "code": 200,
            "message": "OK",
            "data": {
                "service": "ai-cs-tianwang-bridge",
                "timestamp": f"{stamp:%Y-%m-%dT%H:%M:%S}",
            },
            "status": "ok",
            "timestamp": int(now),
            "service": "wechat_support",
        }
    )


@router.get("/livez")
async def livez() -> Response:
    """Liveness: 200 as long as the process answers at all. Who gets nothing here may end it;
    whether it is to be sent work is `/health`'s to say."""
    return Json({"status": "ok"})


@router.get("/health", responses={503: {"description": "A part is down, or the process is ending"}})
async def health(kefu: TheKefu) -> Response:
    """Readiness: 200 when messages are stored and answered, with the state of each part."""
    parts: dict[str, Any] = {
        "database": await _database(kefu),
        "knowledge": _knowledge(kefu),
        "models": _models(kefu),
    }
    if kefu.qingjian is not None:
        parts["qingjian"] = kefu.qingjian.state
    if kefu.wecom is not None and kefu.wecom.puller is not None:
        parts["wecom_kf"] = await _kf_accounts(kefu)
    if not kefu.engine.database.is_sqlite:
        parts["processes"] = _processes(kefu)
    ready = kefu.engine.ready and parts["database"] == "ok" and not kefu.draining
    body = {
        "status": "ok" if ready else "draining" if kefu.draining else "unavailable",
        "service": "kefu-graph",
        "uptime_s": round(time.time() - kefu.started_at, 1),
        "parts": parts,
    }
    return Json(body, status_code=200 if ready else 503)


def _processes(kefu: Kefu) -> dict[str, Any]:
    """``workers``: those to which turns may be left, this one too. Without wake-ups work is found
    by looking, which takes longer."""
    wakeups = kefu.wakeups
    return {
        "role": "all" if wakeups.works else "api",
        "wakeups": "ok" if wakeups.connected else "down",
        "workers": len(wakeups.workers()),
    }


async def _kf_accounts(kefu: Kefu) -> list[dict[str, Any]]:
    try:
        return await kefu.engine.database.read(kf.accounts)
    except KefuError:
        return []


async def _database(kefu: Kefu) -> str:
    try:
        await kefu.engine.database.read(lambda c: c.execute(text("SELECT 1")).scalar())
    except KefuError as error:
        return f"down: {type(error).__name__}"
    return "ok"


def _knowledge(kefu: Kefu) -> str:
    warming = kefu.warming
    if warming is None or not warming.done():
        return "warming"
    # Warming up says in the log what went wrong, and the next search tries again.
    return "ok" if kefu.knowledge.retriever.sight is not None else "down"


def _models(kefu: Kefu) -> list[dict[str, Any]]:
    if kefu.models is None:
        return []
    return [
        {"provider": shot.name, "model": shot.model, "state": shot.state, "error": shot.last_error}
        for shot in kefu.models.snapshot()
    ]


@router.get("/metrics", response_class=Response, responses=REFUSED)
async def metrics(kefu: TheKefu) -> Response:
    """Prometheus text format."""
    await kefu.engine.backlog()
    await kefu.task_work.measure()
    for name, value in (await kefu.desk.stats()).items():
        kefu.metrics.backlog.labels(f"desk_{name}").set(value)
    await kefu.figures.gauges.refresh()
    content = generate_latest(kefu.metrics.registry)
    return Response(content, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/api/ops/handoffs", responses=ERRORS)
async def list_handoffs(
    kefu: TheKefu,
    status: Literal["open", "taken", "closed"] | None = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> Response:
    """Conversations that wait for, or are with, a person; newest first."""
    rows = await kefu.engine.database.read(
        lambda c: history.handoffs(c, status=status, limit=limit, offset=offset)
    )
    return Json({"items": rows, "limit": limit, "offset": offset})


@router.post("/api/ops/handoffs/{handoff_id}", responses=ERRORS)
async def change_handoff(
    handoff_id: RowId, body: HandoffChange, kefu: TheKefu, actor: TheActor
) -> Response:
    """``taken``: the engine keeps quiet in that conversation; ``closed``: it answers again."""
    now = time.time()
    row = await kefu.engine.database.write(
        lambda c: desk_talks.set_handoff(
            c, handoff_id, status=body.status, agent=body.agent, by=actor, now=now
        )
    )
    return Json(row)


@router.get("/api/ops/dead-letters", responses=ERRORS)
async def list_dead_letters(
    kefu: TheKefu,
    status: Literal["parked", "replayed"] | None = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> Response:
    """Messages whose turn kept failing; newest first."""
    rows = await kefu.engine.database.read(
        lambda c: history.dead_letters(c, status=status, limit=limit, offset=offset)
    )
    return Json({"items": rows, "limit": limit, "offset": offset})


@router.post("/api/ops/dead-letters/{dead_letter_id}/replay", responses=ERRORS)
async def replay(dead_letter_id: RowId, kefu: TheKefu, actor: TheActor) -> Response:
    """Give parked messages another try."""
    conversation = await kefu.engine.replay_dead_letter(dead_letter_id, actor=actor)
    return Json({"replayed": dead_letter_id, "conversation_id": conversation})


@router.get("/api/ops/deliveries", responses=ERRORS)
async def list_deliveries(
    kefu: TheKefu,
    status: Literal["pending", "delivered", "dead", "dropped"] | None = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> Response:
    """The outbox; newest first."""
    rows = await kefu.engine.database.read(
        lambda c: history.deliveries(c, status=status, limit=limit, offset=offset)
    )
    return Json({"items": rows, "limit": limit, "offset": offset})


@router.post("/api/ops/deliveries/{delivery_id}/resend", responses=ERRORS)
async def resend(delivery_id: RowId, kefu: TheKefu, actor: TheActor) -> Response:
    """Send a dead letter of the outbox again."""
    await kefu.engine.resend(delivery_id, actor=actor)
    return Json({"resent": delivery_id})


@router.get("/api/ops/model-calls", responses=ERRORS)
async def list_model_calls(
    kefu: TheKefu, turn_id: Identifier | None = None, limit: Limit = 50, offset: Offset = 0
) -> Response:
    """Every call of a model: provider, outcome, tokens, latency, cost; newest first."""
    rows = await kefu.engine.database.read(
        lambda c: history.model_calls(c, turn_id=turn_id, limit=limit, offset=offset)
    )
    return Json({"items": rows, "limit": limit, "offset": offset})


@router.get("/api/ops/price-book", responses=ERRORS)
async def price_book(kefu: TheKefu) -> Response:
    """The price book in use, amounts in yuan. ``refused``: what is wrong with the file as it is
    now, while an older book stays in use."""
    return Json(_prices_shown(kefu.prices))


@router.post("/api/ops/price-book/reload", responses=ERRORS)
async def reload_price_book(kefu: TheKefu) -> Response:
    """Read the file now instead of within seconds of its change. 422: it cannot be used, and the
    book that was read before stays."""
    changed = await kefu.prices.reload()
    refused = kefu.prices.refused
    if refused is not None:
        version = kefu.prices.book.version
        reason = f"价目文件不能使用，仍按版本 {version} 报价：{refused.reason}"
        raise InvalidInput(refused.field, reason)
    return Json({"changed": changed, **_prices_shown(kefu.prices)})


def _prices_shown(prices: Prices) -> dict[str, Any]:
    book, refused = prices.book, prices.refused
    return {
        "version": book.version,
        "fingerprint": book.fingerprint,
        "since": iso(prices.since),
        "file": str(prices.file) if prices.file is not None else None,
        "checked_at": iso(prices.checked_at),
        "refused": refused
        and {"at": iso(refused.at), "field": refused.field, "reason": refused.reason},
        "services": [_service_shown(service) for service in book.services],
    }


def _service_shown(service: Service) -> dict[str, Any]:
    return {
        "id": service.id,
        "name": service.name,
        "unit": service.unit,
        "base": service.base / 100,
        "floor": service.floor / 100,
        "starting_price": service.starting_price,
        "workflow": service.workflow.value,
    }
