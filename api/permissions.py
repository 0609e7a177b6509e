"""Who may use which address: one table for every route of the service.

An address that is not listed asks for ``admin``, and fails `tests/api/test_permissions.py`: who
adds a route adds its row. ``public``: asks for nothing, or for a signature or a key of its own.
``work:desk``: people; the desk's sessions say more (`api.desk.session`).

``own`` at the end of a row: what is done there is audited where it is done, in its transaction, or
is no act of an administrator. Of everything else that changes something and asks for ``admin`` or
``manage:customer``, the guard writes a record before the answer goes out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tools.registry import Role


class Permission(StrEnum):
    """The first five are seed 003's; the others are for what it does not know."""

    READ_MESSAGE = "read:message"
    WRITE_MESSAGE = "write:message"
    MANAGE_CUSTOMER = "manage:customer"
    VIEW_STATS = "view:stats"
    ADMIN = "admin"
    USE_TOOLS = "use:tools"
    MANAGE_TASK = "manage:task"
    WORK_DESK = "work:desk"
    PUBLIC = "public"


_TALK = frozenset({Permission.READ_MESSAGE, Permission.WRITE_MESSAGE})
CLIENT_GRANTS: Final = {
    Role.AGENT: _TALK,
    Role.ADMIN: frozenset(Permission),
    Role.VIEWER: frozenset({Permission.VIEW_STATS}),
}
"""Of a client that has signed in with its key (seed 003). An administrator may do everything."""
STAFF_GRANTS: Final = CLIENT_GRANTS | {
    Role.AGENT: _TALK | {Permission.USE_TOOLS, Permission.WORK_DESK},
    Role.TIANWANG: frozenset({Permission.USE_TOOLS, Permission.MANAGE_TASK}),
    Role.CUSTOMER: frozenset({Permission.USE_TOOLS}),
}
"""Of the tokens that `kefu token` makes."""

TABLE: Final = """
public GET /
public GET /openapi.json
public GET /docs
public GET /docs/oauth2-redirect
public GET /assets/docs
public GET /assets/console/{name}
public GET /livez
public GET /health
public GET /api/health
public GET /pictures/{sha256}
public POST /api/v1/auth/login

write:message POST /api/v1/messages
write:message POST /api/v1/messages/stream
read:message GET /api/v1/messages/{message_id:path}/answer
write:message POST /api/v1/heartbeat
admin GET /api/v1/clients
admin POST /api/v1/clients own
admin GET /api/v1/clients/{agent_id}
admin PATCH /api/v1/clients/{agent_id} own
admin POST /api/v1/clients/{agent_id}/keys own
admin DELETE /api/v1/clients/{agent_id}/keys/{key_id} own
admin GET /api/v1/audit
manage:customer GET /api/v1/sessions
manage:customer GET /api/v1/sessions/{session_id}
manage:customer GET /api/v1/customers
manage:customer GET /api/v1/customers/{customer_id}
manage:customer PATCH /api/v1/customers/{customer_id} own
manage:customer POST /api/v1/customers/{customer_id}/tags own
manage:customer POST /api/v1/customers/{customer_id}/deals own
manage:customer DELETE /api/v1/customers/{customer_id}/deals/{key:path} own
manage:customer POST /api/v1/customers/{customer_id}/feedback own
manage:customer POST /api/v1/customers/{customer_id}/merge own
manage:customer POST /api/v1/customers/{customer_id}/unmerge own
manage:customer GET /api/v1/customers/{customer_id}/export
manage:customer POST /api/v1/customers/{customer_id}/erase own
manage:customer GET /api/v1/campaigns
manage:customer POST /api/v1/campaigns
manage:customer POST /api/v1/campaigns/dry-run
manage:customer GET /api/v1/campaigns/{campaign_id:int}
manage:customer PUT /api/v1/campaigns/{campaign_id:int}
manage:customer GET /api/v1/campaigns/{campaign_id:int}/people
manage:customer POST /api/v1/campaigns/{campaign_id:int}/start
manage:customer POST /api/v1/campaigns/{campaign_id:int}/pause
manage:customer POST /api/v1/campaigns/{campaign_id:int}/cancel
admin GET /api/v1/rules
admin PUT /api/v1/rules own
admin POST /api/v1/rules/validate own
admin POST /api/v1/rules/reload
admin POST /api/v1/rules/dry-run
admin GET /api/v1/rules/versions
admin GET /api/v1/rules/versions/{version}
admin POST /api/v1/rules/versions/{version}/revert own

view:stats GET /metrics
view:stats GET /api/v1/stats
view:stats GET /api/v1/alerts
view:stats GET /api/ops/model-calls
work:desk GET /api/ops/handoffs
work:desk POST /api/ops/handoffs/{handoff_id}
admin GET /api/ops/dead-letters
admin POST /api/ops/dead-letters/{dead_letter_id}/replay own
admin GET /api/ops/deliveries
admin POST /api/ops/deliveries/{delivery_id}/resend own
admin GET /api/ops/price-book
admin POST /api/ops/price-book/reload

work:desk POST /api/ai_chat
work:desk POST /api/transfer_service
work:desk GET /api/transfer_service
work:desk POST /api/service_reply
work:desk GET /api/chat_records
admin GET /api/custom_qa
admin POST /api/custom_qa own
admin DELETE /api/custom_qa own
admin POST /api/channels/webhook/{account}/messages own
admin POST /api/tuhui/callback own
admin GET /api/wechat
admin POST /api/wechat own
admin GET /api/wechat/messages
admin GET /api/wechat/jsapi
admin GET /wecom/callback
admin POST /wecom/callback own

work:desk POST /api/test_kb
work:desk GET /api/knowledge/search
work:desk GET /api/knowledge/entries
admin POST /api/knowledge/entries own
work:desk GET /api/knowledge/entries/{entry_id}
admin PUT /api/knowledge/entries/{entry_id} own
admin DELETE /api/knowledge/entries/{entry_id} own
admin GET /api/knowledge/documents
admin DELETE /api/knowledge/documents own
work:desk GET /api/knowledge/categories
admin POST /api/knowledge/imports own
admin GET /api/knowledge/imports
admin GET /api/knowledge/imports/{job_id}
admin POST /api/knowledge/rebuild
admin GET /api/knowledge/versions
admin GET /api/knowledge/versions/{version}
admin POST /api/knowledge/versions/{version}/undo own
admin POST /api/knowledge/rollback own
work:desk GET /api/knowledge/unknown
work:desk GET /api/knowledge/unknown/{cluster_id}
work:desk POST /api/knowledge/unknown/{cluster_id}/answer
work:desk POST /api/knowledge/unknown/{cluster_id}/dismiss
work:desk POST /api/knowledge/unknown/{cluster_id}/reopen
work:desk POST /api/knowledge/unknown/{cluster_id}/merge
work:desk POST /api/knowledge/unknown/{cluster_id}/unmerge
work:desk POST /api/knowledge/unknown/questions/{question_id}/move
work:desk GET /api/knowledge/suggestions
work:desk GET /api/knowledge/suggestions/{suggestion_id}
work:desk POST /api/knowledge/suggestions/{suggestion_id}/accept
work:desk POST /api/knowledge/suggestions/{suggestion_id}/reject
work:desk POST /api/knowledge/suggestions/{suggestion_id}/undo
work:desk POST /api/knowledge/suggestions/{suggestion_id}/reopen

use:tools * /mcp
use:tools GET /api/tools
use:tools GET /api/tools/{name}
use:tools POST /api/tools/{name}
manage:task POST /api/task/receive
manage:task GET /api/task/status/{task_id:path}
manage:task POST /api/task/cancel
manage:task POST /api/task/retry
manage:task GET /api/task/list

work:desk GET /api/approvals
work:desk POST /api/approvals/{approval_id}
work:desk GET /api/orders
work:desk GET /api/orders/{order_id}
work:desk POST /api/orders/{order_id}/amend
work:desk POST /api/orders/{order_id}/confirm
work:desk POST /api/orders/{order_id}/deliver
work:desk POST /api/orders/{order_id}/accept
work:desk POST /api/orders/{order_id}/rework
work:desk POST /api/orders/{order_id}/cancel
work:desk POST /api/orders/{order_id}/assign-designer
work:desk POST /api/pictures
work:desk GET /api/pictures/{sha256}

work:desk POST /api/desk/login
work:desk POST /api/desk/logout
work:desk GET /api/desk/me
work:desk POST /api/desk/presence
work:desk GET /api/desk/queue
work:desk GET /api/desk/events
work:desk GET /api/desk/conversations/{conversation_id}
work:desk POST /api/desk/conversations/{conversation_id}/take
work:desk POST /api/desk/conversations/{conversation_id}/say
work:desk POST /api/desk/conversations/{conversation_id}/notes
work:desk POST /api/desk/conversations/{conversation_id}/transfer
work:desk POST /api/desk/conversations/{conversation_id}/resolve
work:desk POST /api/desk/conversations/{conversation_id}/reopen
work:desk POST /api/desk/conversations/{conversation_id}/mode
work:desk POST /api/desk/drafts/{draft_id}
work:desk GET /api/desk/canned
work:desk PUT /api/desk/canned
work:desk DELETE /api/desk/canned/{canned_id}
work:desk GET /api/desk/agents
work:desk PUT /api/desk/agents/{agent_id}

work:desk GET /api/reviews
work:desk GET /api/reviews/turns/{turn_id}
work:desk POST /api/reviews/turns/{turn_id}/rerun
work:desk POST /api/reviews/turns/{turn_id}/mark
work:desk POST /api/reviews/turns/{turn_id}/save
work:desk POST /api/reviews/{review_id:int}
work:desk GET /api/reviews/regressions
work:desk POST /api/reviews/regressions
work:desk GET /api/reviews/regressions/{name}
work:desk PUT /api/reviews/regressions/{name}
work:desk DELETE /api/reviews/regressions/{name}

work:desk GET /desk/sign-in
work:desk POST /desk/sign-in
work:desk GET /desk/language/{language}
work:desk POST /desk/sign-out
work:desk POST /desk/presence
work:desk GET /desk
work:desk GET /desk/{rest:path}
work:desk GET /desk/search
work:desk GET /desk/conversations/{conversation}
work:desk GET /desk/conversations/{conversation}/pictures/{sha256}
work:desk POST /desk/conversations/{conversation}/take
work:desk POST /desk/conversations/{conversation}/say
work:desk POST /desk/conversations/{conversation}/note
work:desk POST /desk/conversations/{conversation}/transfer
work:desk POST /desk/conversations/{conversation}/resolve
work:desk POST /desk/conversations/{conversation}/reopen
work:desk POST /desk/conversations/{conversation}/mode
work:desk POST /desk/conversations/{conversation}/drafts/{draft}
work:desk POST /desk/pictures
work:desk GET /desk/orders
work:desk GET /desk/orders/{order_id}
work:desk GET /desk/orders/{order_id}/pictures/{sha256}
work:desk POST /desk/orders/{order_id}
work:desk GET /desk/approvals
work:desk POST /desk/approvals/{approval}
work:desk GET /desk/deliveries
work:desk POST /desk/deliveries/{delivery}/resend
work:desk POST /desk/deliveries/parked/{letter}/replay
work:desk GET /desk/tasks
work:desk GET /desk/tasks/one
work:desk POST /desk/tasks/cancel
work:desk POST /desk/tasks/retry
work:desk GET /desk/knowledge
work:desk POST /desk/knowledge/entries
work:desk GET /desk/knowledge/imports
work:desk POST /desk/knowledge/imports
work:desk GET /desk/knowledge/suggestions
work:desk POST /desk/knowledge/suggestions/{suggestion}
work:desk GET /desk/knowledge/unknown
work:desk POST /desk/knowledge/unknown/{cluster}
work:desk GET /desk/turns/{turn_id}
work:desk POST /desk/turns/{turn_id}/rerun
work:desk POST /desk/turns/{turn_id}/mark
work:desk POST /desk/turns/{turn_id}/save
work:desk GET /desk/reviews
work:desk POST /desk/reviews/{review}/settle
work:desk GET /desk/reviews/tests
work:desk POST /desk/reviews/tests/run
work:desk POST /desk/reviews/tests/drop
work:desk GET /desk/overview
work:desk GET /desk/customers
work:desk GET /desk/customers/{customer_id}
work:desk POST /desk/customers/{customer_id}
work:desk POST /desk/customers/{customer_id}/tags
work:desk POST /desk/customers/{customer_id}/merge
work:desk POST /desk/customers/{customer_id}/unmerge
work:desk GET /desk/customers/{customer_id}/export
work:desk POST /desk/customers/{customer_id}/erase
work:desk GET /desk/campaigns
work:desk POST /desk/campaigns
work:desk POST /desk/campaigns/{campaign}/{act}
work:desk GET /desk/clients
work:desk POST /desk/clients
work:desk POST /desk/clients/one
work:desk POST /desk/clients/keys
work:desk POST /desk/clients/keys/revoke
work:desk GET /desk/rules
work:desk POST /desk/rules
work:desk POST /desk/rules/try
work:desk POST /desk/rules/revert
work:desk GET /desk/agents
work:desk POST /desk/agents
work:desk GET /desk/canned
work:desk POST /desk/canned
work:desk POST /desk/canned/{canned}/drop
"""
ANY_METHOD = "*"


OWN_RECORD = "own"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_RECORDED = frozenset({Permission.ADMIN, Permission.MANAGE_CUSTOMER})


@dataclass(frozen=True, slots=True)
class Row:
    """``path``: as the route has it."""

    permission: Permission
    method: str
    path: str
    own_record: bool


UNLISTED: Final = Row(Permission.ADMIN, ANY_METHOD, "", own_record=False)


def rows() -> Iterator[Row]:
    for line in filter(None, TABLE.splitlines()):
        permission, method, path, *more = line.split()
        yield Row(Permission(permission), method, path, own_record=more == [OWN_RECORD])


def open_roots() -> tuple[str, ...]:
    """Below these everything is public: static files, and addresses that carry a signature."""
    public = [row.path for row in rows() if row.permission is Permission.PUBLIC]
    shaped = (path.partition("{")[0] for path in public if "{" in path)
    files = (f"{path}/" for path in public if path.startswith("/assets/") and "{" not in path)
    return (*shaped, *files)


def open_paths() -> frozenset[str]:
    return frozenset(row.path for row in rows() if row.permission is Permission.PUBLIC)


class Permissions:
    """The table, to be asked with the addresses of requests."""

    def __init__(self) -> None:
        self._exact: dict[tuple[str, str], Row] = {}
        self._shaped: dict[str, list[tuple[re.Pattern[str], Row]]] = {}
        for row in rows():
            if "{" in row.path:
                self._shaped.setdefault(_root(row.path), []).append((_pattern(row.path), row))
            else:
                self._exact[row.method, row.path] = row

    def needed(self, method: str, path: str) -> Permission:
        return self.row(method, path).permission

    def is_recorded(self, method: str, path: str) -> bool:
        """Whether the guard is to write down what was done there."""
        if method in _READING:
            return False
        row = self.row(method, path)
        return row.permission in _RECORDED and not row.own_record

    def row(self, method: str, path: str) -> Row:
        """The first that fits, those without parameters before the others. `UNLISTED`, which asks
        for ``admin``: there is none, or they do not agree."""
        method = "GET" if method == "HEAD" else method
        exact = self._exact.get((method, path)) or self._exact.get((ANY_METHOD, path))
        if exact is not None:
            return exact
        fitting = (
            row
            for pattern, row in self._shaped.get(_root(path), ())
            if row.method == method and pattern.fullmatch(path)
        )
        found = list(fitting)
        agreed = len({row.permission for row in found}) == 1
        return found[0] if agreed else UNLISTED


def _root(path: str) -> str:
    """The parts before any parameter: three below `/api/v1`, two below `/api`, else one."""
    parts = path.split("/")
    depth = 4 if parts[1:3] == ["api", "v1"] else 3 if parts[1:2] == ["api"] else 2
    return "/".join(parts[:depth])


def _pattern(path: str) -> re.Pattern[str]:
    shape = re.sub(r"\\\{[a-z_0-9]+(:path|:int)?\\\}", _part, re.escape(path))
    return re.compile(shape)


def _part(found: re.Match[str]) -> str:
    return {None: "[^/]+", ":int": "[0-9]+", ":path": ".+"}[found[1]]
