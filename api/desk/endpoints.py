"""/api/desk: what an agent's client does, whether the console, a robot or somebody's own."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from api.desk.schemas import (
    ERRORS,
    AgentId,
    AgentIn,
    AgentsOut,
    CannedIn,
    CannedOut,
    Channel,
    Cursor,
    DoneOut,
    DraftIn,
    EventId,
    ModeIn,
    NoteIn,
    PageSize,
    PresenceIn,
    ResolveIn,
    RowId,
    SayIn,
    Search,
    SessionOut,
    Shown,
    SignIn,
    TransferIn,
)
from api.desk.session import (
    Signed,
    TheActing,
    TheAdmin,
    TheAgent,
    TheDesk,
    TheSession,
    drop_session,
    keep_session,
    refuse_foreign,
    token_of,
    whoever,
)
from api.desk.streams import HEARTBEAT_S, EventStream, Streams
from api.fields import Identifier
from domain.desk import Agent
from domain.messages import Attachment
from engine.desk.views import (
    CannedView,
    ConversationView,
    NoteView,
    QueuePage,
    Said,
    View,
)
from tools.registry import NotAllowed

router = APIRouter(prefix="/api/desk", tags=["desk"], responses=ERRORS)
Before = Annotated[int | None, Query(ge=1, le=2**62)]
LastEventId = Annotated[str, Header(alias="Last-Event-ID", max_length=64)]
_DONE = {"done": True}


# Who ---------------------------------------------------------------------------------------------


@router.post("/login", response_model=SessionOut)
async def login(body: SignIn, request: Request, desk: TheDesk) -> Response:
    """Begins a session, always a new one, and ends the one that the browser had. Wrong passwords
    are counted: 429 after several, with Retry-After."""
    refuse_foreign(request)
    session = await desk.sign_in(body.agent, body.password.get_secret_value())
    if old := token_of(request):
        await desk.sign_out(old)
    shown = _session(Signed(session.agent, "cookie", session.csrf))
    keep_session(request, shown, session)
    return shown


@router.post("/logout", response_model=DoneOut)
async def logout(session: TheSession, request: Request, desk: TheDesk) -> Response:
    """Ends this session; with an agent's last one they are offline."""
    if session.token:
        await desk.sign_out(session.token)
    done = Shown(_DONE)
    drop_session(request, done)
    return done


@router.get("/me", response_model=SessionOut)
async def me(session: TheSession) -> Response:
    """Who is signed in, and the CSRF token of this session."""
    return _session(session)


@router.post("/presence", response_model=SessionOut)
async def presence(body: PresenceIn, session: TheActing, desk: TheDesk) -> Response:
    """online gets new conversations; away keeps what it has; offline gives all of it back."""
    agent = await desk.presence(session.agent, body.status)
    return _session(Signed(agent, session.by, session.csrf))


def _session(session: Signed) -> Shown:
    return Shown({"agent": session.agent, "csrf": session.csrf, "by": session.by})


# What --------------------------------------------------------------------------------------------


@router.get("/queue", response_model=QueuePage)
async def queue(
    agent: TheAgent,
    desk: TheDesk,
    view: View = "waiting",
    search: Search = "",
    channel: Channel = "",
    limit: PageSize = 50,
    before: Cursor = None,
) -> Response:
    """A page of conversations; ``next`` of a page is the next one's ``before``."""
    return Shown(
        await desk.queue(
            agent, view=view, search=search, channel=channel, limit=limit, before=before
        )
    )


@router.get("/conversations/{conversation_id}", response_model=ConversationView)
async def conversation(
    conversation_id: Identifier,
    agent: TheAgent,
    desk: TheDesk,
    before: Before = None,
    limit: PageSize = 50,
) -> Response:
    """Messages, notes, hand-over, draft, orders and turns of one conversation. 404 also for what
    is not within the agent's scope."""
    return Shown(await desk.conversation(agent, conversation_id, before=before, limit=limit))


@router.get(
    "/events",
    responses={200: {"content": {"text/event-stream": {}}}},
    response_class=Response,
)
async def events(
    request: Request,
    session: TheSession,
    desk: TheDesk,
    after: EventId = None,
    last_event_id: LastEventId = "",
) -> Response:
    """What happens within the agent's scope, as server-sent events named by their kind. Begins
    after the event of Last-Event-ID (sent by browsers that come back) or ``after``; with neither,
    now. Further events: ``hello`` first; ``reset`` instead of it where too much was missed, look
    anew; ``goodbye``, the session has ended."""
    streams: Streams = request.app.state.streams

    async def still_may() -> Agent | None:
        try:
            signed = await whoever(request)
        except NotAllowed:
            return None
        return signed.agent if signed is not None else None

    # An open stream is its agent's sign of life.
    heartbeat_s = min(HEARTBEAT_S, desk.policy.away_s / 3)
    after = _number(last_event_id, after)
    return EventStream(
        desk, streams, session.agent, still_may, after=after, heartbeat_s=heartbeat_s
    )


def _number(last: str, otherwise: int | None) -> int | None:
    return int(last) if last.isascii() and last.isdigit() and len(last) < 19 else otherwise


# Acts --------------------------------------------------------------------------------------------


@router.post("/conversations/{conversation_id}/take", response_model=DoneOut)
async def take(conversation_id: Identifier, session: TheActing, desk: TheDesk) -> Response:
    """Of several at once one wins, the others get 409 with the winner's name."""
    await desk.take(session.agent, conversation_id)
    return Shown(_DONE)


@router.post("/conversations/{conversation_id}/say", response_model=Said)
async def say(
    conversation_id: Identifier, body: SayIn, session: TheActing, desk: TheDesk
) -> Response:
    """To the customer, once per ``message_id``."""
    attachments = [Attachment(one.kind, one.url) for one in body.attachments]
    return Shown(
        await desk.say(
            session.agent,
            conversation_id,
            body.text,
            message_id=body.message_id,
            attachments=attachments,
        )
    )


@router.post("/conversations/{conversation_id}/notes", response_model=NoteView)
async def note(
    conversation_id: Identifier, body: NoteIn, session: TheActing, desk: TheDesk
) -> Response:
    """For colleagues; the customer never sees it."""
    return Shown(await desk.note(session.agent, conversation_id, body.text))


@router.post("/conversations/{conversation_id}/transfer", response_model=DoneOut)
async def transfer(
    conversation_id: Identifier, body: TransferIn, session: TheActing, desk: TheDesk
) -> Response:
    """To an agent, or back to the queue."""
    await desk.transfer(
        session.agent, conversation_id, to=body.to, skill=body.skill, note=body.note
    )
    return Shown(_DONE)


@router.post("/conversations/{conversation_id}/resolve", response_model=DoneOut)
async def resolve(
    conversation_id: Identifier, body: ResolveIn, session: TheActing, desk: TheDesk
) -> Response:
    """The conversation is the bot's again."""
    await desk.resolve(
        session.agent, conversation_id, outcome=body.outcome, ask_rating=body.ask_rating
    )
    return Shown(_DONE)


@router.post("/conversations/{conversation_id}/reopen", response_model=DoneOut)
async def reopen(conversation_id: Identifier, session: TheActing, desk: TheDesk) -> Response:
    """The last hand-over goes on, with this agent."""
    await desk.reopen(session.agent, conversation_id)
    return Shown(_DONE)


@router.post("/conversations/{conversation_id}/mode", response_model=DoneOut)
async def set_mode(
    conversation_id: Identifier, body: ModeIn, session: TheActing, desk: TheDesk
) -> Response:
    """human or copilot; queued: back to the queue; bot: given back."""
    await desk.set_mode(session.agent, conversation_id, body.mode)
    return Shown(_DONE)


@router.post("/drafts/{draft_id}", response_model=DoneOut)
async def decide_draft(
    draft_id: RowId, body: DraftIn, session: TheActing, desk: TheDesk
) -> Response:
    """Approve, edit or discard what the bot would say. 409 where it is stale."""
    await desk.decide_draft(session.agent, draft_id, body.decision, body.text)
    return Shown(_DONE)


# Canned replies and agents -----------------------------------------------------------------------


@router.get("/canned", response_model=CannedOut)
async def list_canned(agent: TheAgent, desk: TheDesk) -> Response:
    """Those for the agent's skills first."""
    return Shown({"items": await desk.canned(agent)})


@router.put("/canned", response_model=CannedView)
async def put_canned(body: CannedIn, session: TheAdmin, desk: TheDesk) -> Response:
    """A new canned reply, or a change to one."""
    return Shown(
        await desk.put_canned(
            session.agent,
            shortcut=body.shortcut,
            title=body.title,
            text=body.text,
            skill=body.skill,
            canned=body.id,
        )
    )


@router.delete("/canned/{canned_id}", response_model=DoneOut)
async def drop_canned(canned_id: RowId, session: TheAdmin, desk: TheDesk) -> Response:
    await desk.drop_canned(session.agent, canned_id)
    return Shown(_DONE)


@router.get("/agents", response_model=AgentsOut)
async def list_agents(agent: TheAgent, desk: TheDesk) -> Response:
    """Everybody at the desk, with their load: whom one can transfer to."""
    return Shown({"items": await desk.agents(agent)})


@router.put("/agents/{agent_id}", response_model=Agent)
async def put_agent(agent_id: AgentId, body: AgentIn, session: TheAdmin, desk: TheDesk) -> Response:
    """A new agent, or changes to one. A new password, and disabling, end their sessions."""
    return Shown(
        await desk.put_agent(
            session.agent,
            agent_id,
            name=body.name,
            role=body.role,
            skills=body.skills,
            scopes=body.scopes,
            max_load=body.max_load,
            enabled=body.enabled,
            password=body.password.get_secret_value() if body.password is not None else None,
        )
    )
