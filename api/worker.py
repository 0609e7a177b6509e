"""What a worker shows of itself: whether it lives, whether it works, its figures."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from starlette.responses import Response

from api.clients.admission import recorder, standing_of
from api.envelopes import STORAGE_AWAY, error_response
from api.guard import Guard
from api.identity import Tokens
from api.ops.endpoints import health, livez, metrics
from domain.errors import StorageError
from engine.bootstrap import Kefu


def create_worker_app(kefu: Kefu) -> FastAPI:
    """It starts and stops ``kefu``. No customer's message comes this way."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await kefu.start()
        try:
            yield
        finally:
            await kefu.stop()

    app = FastAPI(title="Kefu Graph worker", lifespan=lifespan, openapi_url=None)
    app.state.kefu = kefu
    for path, endpoint in (("/livez", livez), ("/health", health), ("/metrics", metrics)):
        app.add_api_route(path, endpoint, methods=["GET"])

    @app.exception_handler(StorageError)
    async def _storage(request: Request, _error: StorageError) -> Response:
        return error_response(request.url.path, 503, STORAGE_AWAY)

    settings, secret = kefu.settings, kefu.access.secret
    app.add_middleware(
        Guard,
        api_key=settings.api_key.get_secret_value() if settings.api_key else None,
        signed=False,
        max_body_bytes=settings.max_body_bytes,
        tokens=Tokens(secret.get_secret_value()) if secret is not None else None,
        strict=settings.secret_key is not None,
        standing=standing_of(kefu.access.clients),
        record=recorder(kefu.engine.database),
    )
    return app
