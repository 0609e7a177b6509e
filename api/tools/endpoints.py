"""GET /api/tools, GET and POST /api/tools/{name}."""

from typing import Annotated, Any

from fastapi import APIRouter, Body
from starlette.responses import Response

from api.dependencies import TheCaller, TheKefu
from api.envelopes import Json
from api.fields import Identifier
from api.identity import TOOLS_PATH
from api.tools.schemas import ERRORS, AnswerOut, IdempotencyKey, ToolOut, ToolsOut, described

router = APIRouter(prefix=TOOLS_PATH, tags=["tools"], responses=ERRORS)


@router.get("", response_model=ToolsOut)
async def list_tools(kefu: TheKefu, caller: TheCaller) -> Response:
    """The tools that the caller may use."""
    return Json({"tools": [described(tool) for tool in kefu.tool_desk.registry.allowed(caller)]})


@router.get("/{name}", response_model=ToolOut)
async def get_tool(name: Identifier, kefu: TheKefu, caller: TheCaller) -> Response:
    """One tool, with the JSON schemas of its arguments and of its result."""
    return Json(described(kefu.tool_desk.find(name, caller)))


@router.post("/{name}", response_model=AnswerOut)
async def call_tool(
    name: Identifier,
    kefu: TheKefu,
    caller: TheCaller,
    arguments: Annotated[dict[str, Any] | None, Body()] = None,
    key: IdempotencyKey = None,
) -> Response:
    """Call a tool; the body is the object of its arguments.

    Who calls, and for whom, comes from the credentials: a customer's token reaches that customer
    only. 409 where the key was used with other arguments.
    """
    return Json(await kefu.tool_desk.call(name, arguments or {}, caller, key=key))
