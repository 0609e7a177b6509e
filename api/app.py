"""The FastAPI application: surfaces, error envelopes, lifespan."""

import base64
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import resources

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from api.approvals.endpoints import router as approvals
from api.audit.endpoints import router as audit
from api.campaigns.endpoints import router as campaigns
from api.campus.endpoints import router as campus
from api.channels.endpoints import router as channels
from api.clients.admission import recorder, standing_of
from api.clients.endpoints import router as clients
from api.clients.signing_in import router as signing_in
from api.console.conversation import SENT_PICTURES_PATH
from api.console.knowledge import UPLOAD_PATH
from api.console.pages import router as console
from api.customers.endpoints import router as customers
from api.desk.endpoints import router as desk
from api.desk.session import SignInNeeded, sign_in_first, slow_down
from api.desk.streams import Streams
from api.envelopes import FAILED, SERVICE_AWAY, STORAGE_AWAY, describe, error_response, too_large
from api.guard import LIMIT_HEADER, Guard
from api.identity import MCP_PATH, Tokens
from api.knowledge.endpoints import IMPORTS_PATH
from api.knowledge.endpoints import router as knowledge
from api.knowledge.imports import Imports
from api.knowledge.uploads import MAX_UPLOAD_BYTES
from api.mcp.endpoint import McpEndpoint
from api.ops.endpoints import router as ops
from api.orders.endpoints import router as orders
from api.orders.links import router as links
from api.orders.pictures import MAX_PICTURE_BODY_BYTES, PICTURES_PATH
from api.orders.pictures import router as pictures
from api.platform.endpoints import router as platform
from api.platform.sessions import router as sessions
from api.reviews.endpoints import router as reviews
from api.rules.endpoints import router as rules
from api.stats.endpoints import router as stats
from api.tianwang.addresses import Addresses
from api.tianwang.endpoints import conflict
from api.tianwang.endpoints import router as tianwang
from api.tools.endpoints import router as tools
from api.traced import Traced
from api.tuhui.endpoints import CALLBACK_PATH
from api.tuhui.endpoints import router as tuhui
from api.wechat.endpoints import CALLBACK_PATH as WECHAT_PATH
from api.wechat.endpoints import router as wechat
from api.wecom.endpoints import CALLBACK_PATH as WECOM_CALLBACK_PATH
from api.wecom.endpoints import router as wecom
from domain.errors import InvalidInput, KefuError, StorageError
from engine.bootstrap import Kefu
from engine.desk.people import SignInRefused
from engine.tasks.desk import TaskConflict

log = logging.getLogger(__name__)
VERSION = "0.1.0"


def create_app(kefu: Kefu, *, samples: bool = False) -> FastAPI:
    """The service over what `engine.bootstrap.build` put together; it starts and stops it."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await kefu.start(samples=samples)
        try:
            yield
        finally:
            try:
                app.state.streams.close()
                await mcp.aclose()
                await imports.aclose()
            finally:
                await kefu.stop()

    imports = Imports(kefu.knowledge)
    mcp = McpEndpoint(kefu.tool_desk, kefu.settings, version=VERSION)

    app = FastAPIOffline(  # its documentation page needs no CDN
        static_url="/assets/docs",
        title="Kefu Graph",
        version=VERSION,
        summary="AI customer-service engine: one HTTP call a message",
        lifespan=lifespan,
        redoc_url=None,
    )
    app.state.kefu, app.state.imports = kefu, imports
    app.state.streams = Streams()
    tokens = app.state.tokens = _tokens(kefu)
    for router in (platform, campus, channels, knowledge, ops, tools, tianwang, approvals):
        app.include_router(router)
    app.include_router(orders)
    app.include_router(pictures)
    app.include_router(tuhui)
    app.include_router(wechat)
    app.include_router(links)
    app.include_router(wecom)
    app.include_router(desk)
    app.include_router(reviews)
    app.include_router(rules)
    app.include_router(campaigns)
    app.include_router(customers)
    for router in (signing_in, clients, audit, stats, sessions):
        app.include_router(router)
    app.include_router(console)
    app.router.routes.append(Route(MCP_PATH, mcp, include_in_schema=False))
    app.add_api_route("/", _page(), methods=["GET", "HEAD"], include_in_schema=False)
    _handle_errors(app, kefu.settings.max_body_bytes)
    key = kefu.settings.api_key
    app.add_middleware(
        Guard,
        api_key=key.get_secret_value() if key else None,
        signed=kefu.settings.webhook_secret is not None,
        keyed=_keyed(kefu),
        max_body_bytes=kefu.settings.max_body_bytes,
        uploads={
            IMPORTS_PATH: MAX_UPLOAD_BYTES,
            UPLOAD_PATH: MAX_UPLOAD_BYTES,
            PICTURES_PATH: MAX_PICTURE_BODY_BYTES,
            SENT_PICTURES_PATH: MAX_PICTURE_BODY_BYTES,
        },
        tokens=tokens,
        strict=kefu.settings.secret_key is not None,
        standing=standing_of(kefu.access.clients),
        record=recorder(kefu.engine.database),
    )
    app.add_middleware(Addresses, settings=kefu.settings)
    if kefu.tracing.on:
        app.add_middleware(Traced, tracing=kefu.tracing)
    return app


def _keyed(kefu: Kefu) -> tuple[str, ...]:
    """Addresses that ask for a key, or a signature, of their own."""
    tuhui = (CALLBACK_PATH,) if kefu.settings.tuhui_api_key is not None else ()
    signed = kefu.wecom is not None and kefu.wecom.callbacks is not None
    wechat = kefu.wechat is not None and kefu.wechat.intake is not None
    return (
        *tuhui,
        *((WECOM_CALLBACK_PATH,) if signed else ()),
        *((WECHAT_PATH,) if wechat else ()),
    )


def _tokens(kefu: Kefu) -> Tokens | None:
    secret = kefu.access.secret
    return Tokens(secret.get_secret_value()) if secret is not None else None


def _page() -> Callable[[], Awaitable[HTMLResponse]]:
    html = (resources.files("api") / "web" / "index.html").read_text("utf-8")
    headers = {
        "Content-Security-Policy": "default-src 'none'; connect-src 'self'; img-src data:;"
        f" script-src {_hash_of('script', html)}; style-src {_hash_of('style', html)};"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }

    async def page() -> HTMLResponse:
        return HTMLResponse(html, headers=headers)

    return page


def _hash_of(tag: str, html: str) -> str:
    """The page's own inline code, and none that somebody got into it."""
    code = html.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
    return f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"


def _handle_errors(app: FastAPI, max_body_bytes: int) -> None:
    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        errors = error.errors()
        if isinstance(error.body, bytes) and errors[0]["loc"] == ("body",):
            # FastAPI parses what says it is JSON, and hands on everything else as it came.
            message = "应为 application/json"
            return error_response(request.url.path, 415, message, "Content-Type")
        field, message = describe(errors)
        broken = errors[0]["type"] == "json_invalid"
        return error_response(request.url.path, 400 if broken else 422, message, field)

    @app.exception_handler(InvalidInput)
    async def _unusable(request: Request, error: InvalidInput) -> Response:
        return error_response(request.url.path, error.status, error.reason, error.field)

    app.exception_handler(TaskConflict)(conflict)
    app.exception_handler(SignInNeeded)(sign_in_first)
    app.exception_handler(SignInRefused)(slow_down)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        if error.status_code == 413:
            limit = (error.headers or {}).get(LIMIT_HEADER, max_body_bytes)
            return too_large(request.url.path, int(limit))
        message = _HTTP_MESSAGES.get(error.status_code, str(error.detail))
        headers = dict(error.headers) if error.headers else None
        field = "body" if error.status_code == 400 else ""
        return error_response(request.url.path, error.status_code, message, field, headers)

    @app.exception_handler(StorageError)
    async def _storage(request: Request, error: StorageError) -> Response:
        log.error("%s %s: %s", request.method, request.url.path, error)
        headers = {"Retry-After": "1"}
        return error_response(request.url.path, 503, STORAGE_AWAY, headers=headers)

    @app.exception_handler(KefuError)
    async def _ours(request: Request, error: KefuError) -> Response:
        log.error("%s %s: %s", request.method, request.url.path, error)
        return error_response(request.url.path, 503, SERVICE_AWAY)

    @app.exception_handler(Exception)
    async def _unforeseen(request: Request, error: Exception) -> Response:
        log.exception("%s %s failed", request.method, request.url.path, exc_info=error)
        return error_response(request.url.path, 500, FAILED)


_HTTP_MESSAGES = {
    400: "请求无法解析,应为 UTF-8 编码的 JSON",
    404: "没有这个地址",
    405: "不支持这个方法",
}
