"""Who is at the desk: the cookie's session, its CSRF token, and what each role may.

An agent signs in and gets a cookie. A program shows the service's key, or a staff token, and needs
neither cookie nor CSRF token. On loopback without a key, while there is no agent, whoever sits at
the machine is an administrator: the same trust that the rest of the API has there.
"""

import hmac
import math
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal
from urllib.parse import quote, urlsplit

from fastapi import Depends, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from api.envelopes import error_response
from api.guard import KEY_HOLDER, LOCAL, NOBODY
from domain.desk import EVERYTHING, Agent, AgentRole, Presence
from domain.errors import InvalidInput
from engine.bootstrap import Kefu
from engine.desk.desk import Desk
from engine.desk.people import SignInRefused
from engine.desk.views import Session
from engine.settings import is_loopback
from tools.registry import Caller, NotAllowed, Role

COOKIE = "kefu_desk"
SECURE_COOKIE = f"__Host-{COOKIE}"
CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf"
SIGN_IN_PATH = "/desk/sign-in"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_LOCAL_CSRF = secrets.token_urlsafe(32)
_RANKS = {AgentRole.VIEWER: 0, AgentRole.AGENT: 1, AgentRole.ADMIN: 2}


class SignInNeeded(InvalidInput):
    """Nobody is signed in, or not any more."""

    def __init__(self) -> None:
        super().__init__("", "请先登录客服台", status=401)


@dataclass(frozen=True, slots=True)
class Signed:
    """``csrf``: to come with every unsafe request of this session, in the header `CSRF_HEADER` or
    the form field `CSRF_FIELD`; empty for programs. ``token``: the cookie's, empty otherwise."""

    agent: Agent
    by: Literal["cookie", "local", "key"]
    csrf: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


async def the_desk(request: Request) -> Desk:
    desk: Desk = request.app.state.kefu.desk
    return desk


TheDesk = Annotated[Desk, Depends(the_desk)]


async def the_session(request: Request) -> Signed:
    """Raises SignInNeeded; NotAllowed for an unsafe request that may come from another site."""
    signed = await whoever(request)
    if signed is None:
        raise SignInNeeded
    if signed.by != "key" and request.method not in _SAFE:
        refuse_foreign(request)
        await _check_csrf(request, signed)
    return signed


async def the_agent(session: "TheSession") -> Agent:
    return session.agent


TheSession = Annotated[Signed, Depends(the_session)]
TheAgent = Annotated[Agent, Depends(the_agent)]


def require(role: AgentRole) -> Callable[[Signed], Awaitable[Signed]]:
    """A dependency: the session of somebody with that role or a higher one."""

    async def ranked(session: TheSession) -> Signed:
        if _RANKS[session.agent.role] < _RANKS[role]:
            raise NotAllowed("", _REFUSED[role])
        return session

    return ranked


_REFUSED = {
    AgentRole.AGENT: "只读账号不能进行这个操作",
    AgentRole.ADMIN: "只有管理员可以进行这个操作",
}
TheActing = Annotated[Signed, Depends(require(AgentRole.AGENT))]
TheAdmin = Annotated[Signed, Depends(require(AgentRole.ADMIN))]


def csrf_of(session: Signed) -> str:
    """For the page's forms and scripts."""
    return session.csrf


async def whoever(request: Request) -> Signed | None:
    """Who is signed in, for a page that is shown to others too. No CSRF check."""
    caller: Caller = request.state.caller
    desk = await the_desk(request)
    if caller not in (NOBODY, LOCAL):
        return Signed(await _program(desk, caller), "key")
    token = token_of(request)
    if token:
        session = await desk.session(token)
        if session is not None:
            return Signed(session.agent, "cookie", session.csrf, token)
    if await _is_local(request, desk):
        return Signed(desk.local_admin(), "local", _LOCAL_CSRF)
    return None


async def _program(desk: Desk, caller: Caller) -> Agent:
    """A token names an agent by its subject; of its role and the agent's the lower one holds."""
    if caller is KEY_HOLDER:
        return _administrator(caller.name)
    found = await desk.agent(caller.name)
    if found is None and caller.role is Role.ADMIN:
        return _administrator(caller.name)
    if found is None or not found.enabled:
        raise NotAllowed("Authorization", f"没有可用的客服账号 {caller.name!r}")
    return found if caller.role is Role.ADMIN or not found.rules else _lowered(found)


def _lowered(agent: Agent) -> Agent:
    return replace(agent, role=AgentRole.AGENT)


def _administrator(name: str) -> Agent:
    return Agent(name, name, AgentRole.ADMIN, scopes=(EVERYTHING,), status=Presence.ONLINE)


async def _is_local(request: Request, desk: Desk) -> bool:
    """The name is checked too: a page elsewhere may give its own name our address."""
    kefu: Kefu = request.app.state.kefu
    settings = kefu.settings
    if settings.api_key is not None or not is_loopback(settings.host):
        return False
    return is_loopback(request.url.hostname or "") and not await desk.has_agents()


# Cookies -------------------------------------------------------------------------------------


def token_of(request: Request) -> str:
    return request.cookies.get(_cookie_name(request), "")


def keep_session(request: Request, response: Response, session: Session) -> None:
    """The browser's cookie for a session that has just begun."""
    response.set_cookie(
        _cookie_name(request),
        session.token,
        max_age=max(0, round(session.expires_ts - time.time())),
        path="/",
        secure=_is_secure(request),
        httponly=True,
        samesite="strict",
    )


def drop_session(request: Request, response: Response) -> None:
    response.delete_cookie(
        _cookie_name(request),
        path="/",
        secure=_is_secure(request),
        httponly=True,
        samesite="strict",
    )


def _cookie_name(request: Request) -> str:
    """With the prefix no neighbouring host can put one of its own in its place."""
    return SECURE_COOKIE if _is_secure(request) else COOKIE


def _is_secure(request: Request) -> bool:
    kefu: Kefu = request.app.state.kefu
    public = urlsplit(kefu.settings.public_url)
    told = public.scheme == "https" and public.netloc == request.headers.get("host", "").lower()
    return told or request.url.scheme == "https"


# Other sites ---------------------------------------------------------------------------------


def refuse_foreign(request: Request) -> None:
    """Raises NotAllowed for what a browser sends on behalf of another site's page. Also for
    signing in, where there is no CSRF token yet: nobody is to be signed in as somebody else."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    if site not in ("same-origin", "none") or (origin is not None and not _is_own(request, origin)):
        raise NotAllowed("Origin", "不接受其他网站发来的请求")


def _is_own(request: Request, origin: str) -> bool:
    kefu: Kefu = request.app.state.kefu
    own = {request.headers.get("host", "").lower(), urlsplit(kefu.settings.public_url).netloc}
    return urlsplit(origin).netloc.lower() in own - {""}


async def _check_csrf(request: Request, session: Signed) -> None:
    given = request.headers.get(CSRF_HEADER)
    if given is None and request.headers.get("content-type", "").startswith(_FORMS):
        value = (await request.form()).get(CSRF_FIELD)
        given = value if isinstance(value, str) else None
    if given is None or not hmac.compare_digest(given.encode(), session.csrf.encode()):
        raise NotAllowed(CSRF_HEADER, "页面已过期，请刷新后重试")


async def slow_down(request: Request, error: Exception) -> Response:
    """Whoever guesses passwords is told when the next one is tried."""
    assert isinstance(error, SignInRefused)
    wait = {"Retry-After": str(math.ceil(error.retry_after))} if error.retry_after else None
    return error_response(request.url.path, error.status, error.reason, error.field, wait)


async def sign_in_first(request: Request, _error: Exception) -> Response:
    """A page leads to the form; everything else is told in one line."""
    path = request.url.path
    if request.method not in _SAFE or path.startswith("/api/"):
        return error_response(path, 401, SignInNeeded().reason)
    if request.headers.get("sec-fetch-site") == "cross-site":
        # A link in a mail or chat brings no strict cookie; the page's own second request does.
        return HTMLResponse(_AGAIN, headers={"Cache-Control": "no-store"})
    wanted = quote(f"{path}?{request.url.query}" if request.url.query else path, safe="/")
    return RedirectResponse(f"{SIGN_IN_PATH}?next={wanted}", status_code=303)


_AGAIN = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0"><title>…</title>'
)
