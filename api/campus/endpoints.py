"""POST /api/ai_chat."""

import time
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from api.campus.schemas import CampusError, ChatAnswer, ChatRequest
from api.dependencies import TheKefu
from api.envelopes import Json
from domain.ids import new_message_id
from domain.messages import InboundMessage
from engine.bootstrap import Kefu
from storage import history

router = APIRouter(prefix="/api", tags=["campus"])
CHANNEL, ACCOUNT = "campus", "campus"
RECORDS = 20
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": CampusError} for code in (400, 401, 403, 413, 415, 422, 503)
}


@router.post("/ai_chat", response_model=ChatAnswer, responses=ERRORS)
async def ai_chat(body: ChatRequest, kefu: TheKefu) -> Response:
    """A user's message in, the reply and the last records of the talk out."""
    message = InboundMessage(
        channel=CHANNEL,
        account=ACCOUNT,
        channel_message_id=body.msg_id or new_message_id(),
        chat_id=body.user_id,
        sender_id=body.user_id,
        text=body.msg,
        sent_at=time.time(),
        route="poll",
    )
    answer = await kefu.engine.ask(message)
    records = await _records(kefu, message)
    return Json(
        {
            "code": 200,
            "ai_reply": answer["content"],
            "need_transfer": answer["action"] == "escalate",
            "chat_records": records,
            "confidence": answer["confidence"],
            "decision": answer["decision"],
            "evidence": answer["evidence"],
            "quote": answer["quote"],
            "message_id": message.channel_message_id,
            "duplicate": answer["duplicate"],
        }
    )


async def _records(kefu: Kefu, message: InboundMessage) -> list[dict[str, Any]]:
    rows = await kefu.engine.database.read(
        lambda c: history.recent_messages(c, message.conversation, limit=RECORDS)
    )
    zone = kefu.settings.zone()
    return [
        {
            "role": "user" if row["role"] == "user" else "ai",
            "content": row["content"],
            "time": f"{datetime.fromisoformat(row['received_at']).astimezone(zone):%F %T}",
        }
        for row in rows
    ]
