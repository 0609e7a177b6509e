"""/api/v1/sessions: stretches of talk, how they live and how they ended (seed 003)."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import AwareDatetime
from starlette.responses import Response

from api.envelopes import Json
from api.fields import Identifier
from api.platform.endpoints import ERRORS
from domain.sessions import Life, Outcome
from engine.bootstrap import Kefu
from engine.sessions import SessionDesk, SessionPage, SessionView
from storage.sessions import Wanted

router = APIRouter(prefix="/api/v1/sessions", tags=["sessions"], responses=ERRORS)
RowId = Annotated[int, Path(ge=1, le=2**62)]


async def _the_sessions(request: Request) -> SessionDesk:
    kefu: Kefu = request.app.state.kefu
    return SessionDesk(kefu.engine.database)


TheSessions = Annotated[SessionDesk, Depends(_the_sessions)]


@router.get("", response_model=SessionPage)
async def list_sessions(
    sessions: TheSessions,
    conversation_id: Annotated[Identifier | None, Query()] = None,
    contact_id: Annotated[Identifier | None, Query()] = None,
    life: Life | None = None,
    outcome: Outcome | None = None,
    satisfaction: Annotated[int | None, Query(ge=1, le=5)] = None,
    since: Annotated[AwareDatetime | None, Query(description="Of the last message.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Of the last message.")] = None,
    cursor: Annotated[int | None, Query(ge=1, le=2**62, description="next_cursor.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """The newest first. ``life``: active until 5 minutes after the last message, idle until 15,
    dormant until 30, then expired."""
    wanted = Wanted(
        conversation_id=conversation_id or "",
        contact_id=contact_id or "",
        life=life,
        outcome=outcome,
        satisfaction=satisfaction,
        since=since.timestamp() if since else None,
        until=until.timestamp() if until else None,
        before=cursor,
        limit=limit,
    )
    return Json(await sessions.listed(wanted))


@router.get("/{session_id}", response_model=SessionView)
async def get_session(session_id: RowId, sessions: TheSessions) -> Response:
    """One session with its last messages; of a conversation's latest one also what the graph knows:
    turn, topic, entities, what was named, and the summary that a returning customer is met with."""
    return Json(await sessions.get(session_id))
