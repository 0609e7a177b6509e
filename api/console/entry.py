"""Signing in and out, the language, the agent's presence."""

from typing import Annotated

from fastapi import APIRouter, Form, Query
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.console.failures import PageRoute
from api.console.reader import TheActor, next_path
from api.console.rendering import CONSOLE_PATH, LANGUAGE_COOKIE, page, see
from api.console.words import LANGUAGES
from api.desk.session import (
    SIGN_IN_PATH,
    TheDesk,
    TheSession,
    drop_session,
    keep_session,
    refuse_foreign,
    whoever,
)
from domain.desk import Presence
from domain.errors import InvalidInput

router = APIRouter(route_class=PageRoute, include_in_schema=False)
MAX_PASSWORD_CHARS = 256
_YEAR_S = 365 * 86_400
Next = Annotated[str, Query(max_length=2_000)]


@router.get(SIGN_IN_PATH)
async def sign_in_page(request: Request, next: Next = CONSOLE_PATH) -> Response:
    if await whoever(request) is not None:
        return see(next_path(next))
    return page(request, "sign_in.html", None, wanted=next_path(next), login="", trouble="")


@router.post(SIGN_IN_PATH)
async def sign_in(
    request: Request,
    desk: TheDesk,
    login: Annotated[str, Form(max_length=128)] = "",
    password: Annotated[str, Form(max_length=MAX_PASSWORD_CHARS)] = "",
    wanted: Annotated[str, Form(max_length=2_000)] = CONSOLE_PATH,
) -> Response:
    refuse_foreign(request)
    wanted = next_path(wanted)
    try:
        session = await desk.sign_in(login.strip().lower(), password)
    except InvalidInput as error:
        return page(
            request,
            "sign_in.html",
            None,
            status=error.status,
            wanted=wanted,
            login=login,
            trouble=error.reason,
        )
    if session.agent.acts:
        await desk.presence(session.agent, Presence.ONLINE)
    response = see(wanted)
    keep_session(request, response, session)
    return response


@router.post("/desk/sign-out")
async def sign_out(request: Request, desk: TheDesk, session: TheSession) -> Response:
    if session.token:
        await desk.sign_out(session.token)
    response = see(SIGN_IN_PATH)
    drop_session(request, response)
    return response


@router.get("/desk/language/{language}")
async def set_language(language: str, next: Next = CONSOLE_PATH) -> Response:
    if language not in LANGUAGES:
        raise HTTPException(404)
    response = RedirectResponse(next_path(next), status_code=303)
    response.set_cookie(
        LANGUAGE_COOKIE, language, max_age=_YEAR_S, path="/desk", httponly=True, samesite="lax"
    )
    return response


@router.post("/desk/presence")
async def set_presence(
    desk: TheDesk,
    reader: TheActor,
    status: Annotated[Presence, Form()],
    back: Annotated[str, Form(max_length=2_000)] = CONSOLE_PATH,
) -> Response:
    await desk.presence(reader.agent, status)
    return see(next_path(back), "presence")
