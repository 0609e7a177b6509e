"""POST /api/tuhui/callback: Tuhui says that there is news of a task."""

import hmac
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from starlette.responses import Response

from api.dependencies import TheKefu
from api.envelopes import Json
from api.fields import Identifier
from api.identity import TokenRefused
from api.platform.schemas import ErrorOut
from domain.errors import InvalidInput
from engine.settings import Settings
from tools.tuhui.protocol import KEY_HEADER

CALLBACK_PATH = "/api/tuhui/callback"
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorOut} for code in (400, 401, 403, 409, 413, 415, 422, 503)
}
router = APIRouter(tags=["channels"], responses=ERRORS)


class News(BaseModel):
    """Whatever else it says is not read: the task is looked at."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)
    task_id: Annotated[Identifier, Field(validation_alias=AliasChoices("task_id", "id"))]


class Heard(BaseModel):
    accepted: bool = True


@router.post(CALLBACK_PATH, response_model=Heard)
async def callback(body: News, request: Request, kefu: TheKefu) -> Response:
    """Look at this task now. With TUHUI_API_KEY set, it is the key that is asked for here."""
    _check_key(kefu.settings, request)
    if kefu.dispatching is None:
        raise InvalidInput("TUHUI_URL", "未配置图绘派单系统", status=409)
    await kefu.dispatching.heard(body.task_id)
    return Json({"accepted": True})


def _check_key(settings: Settings, request: Request) -> None:
    """Without a key of Tuhui's, the guard has asked for ours."""
    if settings.tuhui_api_key is None:
        return
    given = request.headers.get(KEY_HEADER, "").encode("latin-1")
    if not hmac.compare_digest(given, settings.tuhui_api_key.get_secret_value().encode()):
        raise TokenRefused("缺少或错误的 API key", field=KEY_HEADER)
