"""The tools as an MCP server, made with the official SDK. Import it late: see `endpoint`."""

import asyncio
import logging
import re
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import orjson
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
)
from mcp.types import Tool as McpTool
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from api.envelopes import FAILED, SERVICE_AWAY, STORAGE_AWAY
from api.tools.schemas import MAX_KEY_CHARS, described
from domain.errors import InvalidInput, KefuError, StorageError
from engine.settings import Settings, is_loopback
from engine.tool_desk import KEY_FIELD, ToolDesk
from tools.registry import Caller, Tool

log = logging.getLogger(__name__)
NAME = "kefu-graph"
KEY_META = "idempotencyKey"
"""In a call's ``_meta``; the header Idempotency-Key does the same for clients that can set it."""
EFFECTS_META = "kefu-graph/effects"
DUPLICATE_META = "kefu-graph/duplicate"
_INSTRUCTIONS = "客服系统的工具。以谁的身份、为哪位客户调用，由凭证决定，与参数无关。"
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_Context = ServerRequestContext[Any, Request]


class ToolServer:
    def __init__(self, desk: ToolDesk, settings: Settings, *, version: str) -> None:
        self._desk = desk
        self._sessions = StreamableHTTPSessionManager(
            Server(
                NAME,
                version=version,
                title="Kefu Graph",
                instructions=_INSTRUCTIONS,
                on_list_tools=self._list_tools,
                on_call_tool=self._call_tool,
                # No argument of ours is mirrored into a header: the SDK need not list for a call.
                get_tool_input_schema=lambda _name: None,
            ),
            json_response=True,
            stateless=True,
            security_settings=rebinding_protection(settings),
            max_request_body_size=settings.max_body_bytes,
        )

    async def run(self, ready: asyncio.Event, stop: asyncio.Event) -> None:
        async with self._sessions.run():
            ready.set()
            await stop.wait()

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._sessions.handle_request(scope, receive, send)

    async def _list_tools(
        self, context: _Context, _params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        allowed = self._desk.registry.allowed(_caller(context))
        return ListToolsResult(tools=[_shown(tool) for tool in allowed])

    async def _call_tool(self, context: _Context, params: CallToolRequestParams) -> CallToolResult:
        try:
            answer = await self._desk.call(
                params.name, params.arguments or {}, _caller(context), key=_key(context)
            )
        except InvalidInput as error:
            return _failed(str(error) if error.field else error.reason)
        except KefuError as error:
            log.error("tool %r: %s", params.name, error)
            return _failed(STORAGE_AWAY if isinstance(error, StorageError) else SERVICE_AWAY)
        except Exception:
            log.exception("tool %r failed", params.name)
            return _failed(FAILED)
        text = orjson.dumps(answer["result"]).decode()
        return CallToolResult(
            content=[TextContent(text=text)],
            structured_content=answer["result"],
            _meta={EFFECTS_META: answer["effects"], DUPLICATE_META: answer["duplicate"]},
        )


def rebinding_protection(settings: Settings) -> TransportSecuritySettings:
    """A web page that had its own name point at loopback could call what needs no key there. Where
    others than loopback are served a key is compulsory, which no page knows, and the names under
    which a machine is reached cannot be told from here."""
    if not is_loopback(settings.host):
        return TransportSecuritySettings(enable_dns_rebinding_protection=False)
    known = (*_LOOPBACK_NAMES, settings.host, urlsplit(settings.public_url).hostname or "")
    names = [f"[{name}]" if ":" in name else name for name in dict.fromkeys(known) if name]
    hosts = [*names, *(f"{name}:*" for name in names)]
    return TransportSecuritySettings(
        allowed_hosts=hosts,
        allowed_origins=[f"{scheme}://{host}" for scheme in ("http", "https") for host in hosts],
    )


def _caller(context: _Context) -> Caller:
    assert context.request is not None
    caller: Caller = context.request.scope["state"]["caller"]
    return caller


def _key(context: _Context) -> str | None:
    """Raises InvalidInput for one that cannot be remembered."""
    assert context.request is not None
    meta: Any = context.meta or {}
    key = meta.get(KEY_META, context.request.headers.get(KEY_FIELD))
    if key is None:
        return None
    if isinstance(key, str) and len(key) <= MAX_KEY_CHARS and _VISIBLE.fullmatch(key):
        return key
    raise InvalidInput(KEY_FIELD, f"应为 1 到 {MAX_KEY_CHARS} 个可见的 ASCII 字符")


@cache
def _shown(tool: Tool[Any]) -> McpTool:
    about = described(tool)
    return McpTool(
        name=about["name"],
        title=about["title"],
        description=about["description"],
        input_schema=about["input_schema"],
        output_schema=about["output_schema"],
    )


def _failed(message: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=message)], is_error=True)
