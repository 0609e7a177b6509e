"""What a page's reader sees when something went wrong: a page, or one line for our own script."""

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.console.reader import Reader, reader_of
from api.console.rendering import HEADERS, is_fetched, page, words_for
from api.desk.session import SIGN_IN_PATH, SignInNeeded, sign_in_first, whoever
from api.envelopes import FAILED, SERVICE_AWAY, STORAGE_AWAY, Json, describe
from domain.errors import InvalidInput, KefuError, StorageError

log = logging.getLogger(__name__)
_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class PageRoute(APIRoute):
    """Errors of the console's addresses stay pages of the console."""

    def get_route_handler(self) -> _Handler:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except SignInNeeded as error:
                return await _signed_out(request, error)
            except InvalidInput as error:
                return await failure(request, error.status, error.reason, error.field)
            except RequestValidationError as error:
                field, reason = describe(error.errors())
                return await failure(request, 422, reason, field)
            except HTTPException as error:
                return await failure(request, error.status_code, _http_reason(request, error))
            except StorageError as error:
                log.error("%s %s: %s", request.method, request.url.path, error)
                return await failure(request, 503, STORAGE_AWAY)
            except KefuError as error:
                log.error("%s %s: %s", request.method, request.url.path, error)
                return await failure(request, 503, SERVICE_AWAY)
            except Exception as error:
                log.exception("%s %s failed", request.method, request.url.path, exc_info=error)
                return await failure(request, 500, FAILED)

        return handle


def _http_reason(request: Request, error: HTTPException) -> str:
    words = words_for(request)
    return words("failure.nothing") if error.status_code == 404 else str(error.detail)


async def failure(request: Request, status: int, reason: str, field: str = "") -> Response:
    """``reason`` is one line, safe to show."""
    reason = reason.encode("utf-8", "replace").decode()
    words = words_for(request)
    title = words.of("failure", status) if words.has(f"failure.{status}") else words("failure.any")
    if is_fetched(request):
        body = {"title": title, "message": reason, "field": field}
        return Json(body, status_code=status, headers=dict(HEADERS))
    return page(
        request,
        "failure.html",
        await _reader_or_none(request),
        status=status,
        title=title,
        reason=reason,
        code=status,
    )


async def _signed_out(request: Request, error: SignInNeeded) -> Response:
    if is_fetched(request):
        body = {"title": "", "message": error.reason, "sign_in": SIGN_IN_PATH}
        return Json(body, status_code=401, headers=dict(HEADERS))
    if request.method in ("GET", "HEAD"):
        return await sign_in_first(request, error)
    return await failure(request, 401, error.reason)


async def _reader_or_none(request: Request) -> Reader | None:
    try:
        signed = await whoever(request)
    except KefuError:
        return None
    return reader_of(signed) if signed is not None else None
