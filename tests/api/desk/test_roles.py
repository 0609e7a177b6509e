"""Who may use which address of the service. An address that is not listed here fails the test: who
adds one says for whom it is."""

import re
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from starlette.routing import BaseRoute, Mount

from api.desk.session import CSRF_HEADER, SIGN_IN_PATH
from tests.api.desk.seats import WITH_KEY, Seat, employ, new_client, sign_in
from tests.api.service import Service

Gate = Literal["in", "out", "no"]
CALLERS = ("nobody", "lamp", "eye", "spark", "star", "boss", "key")
"""lamp and spark, a viewer and an agent, see one account; eye, star and boss see all of them."""
UNSCOPED = {"eye", "star", "boss", "key"}
AGENTS = {"spark", "star", "boss", "key"}
ADMITTED: dict[str, set[str]] = {
    "open": set(CALLERS),
    "key": {"key"},
    "staff": set(CALLERS) - {"nobody"},
    "acts": AGENTS,
    "unscoped": UNSCOPED,
    "unscoped-acts": UNSCOPED & AGENTS,
    "admin": {"boss", "key"},
}
TABLE = """
open GET /
open GET /openapi.json
open GET /docs
open GET /docs/oauth2-redirect
open GET /assets/docs
open GET /livez
open GET /health
open GET /api/health
open GET /pictures/{sha256}

key * /mcp
key GET /metrics
key GET /api/v1/stats
key GET /api/v1/alerts
key POST /api/v1/messages
key GET /api/v1/messages/{message_id:path}/answer
key POST /api/v1/messages/stream
open POST /api/v1/auth/login
key POST /api/v1/heartbeat
key GET /api/v1/clients
key POST /api/v1/clients
key GET /api/v1/clients/{agent_id}
key PATCH /api/v1/clients/{agent_id}
key POST /api/v1/clients/{agent_id}/keys
key DELETE /api/v1/clients/{agent_id}/keys/{key_id}
key GET /api/v1/audit
key GET /api/v1/sessions
key GET /api/v1/sessions/{session_id}
key POST /api/ai_chat
key POST /api/transfer_service
key GET /api/transfer_service
key POST /api/service_reply
key GET /api/chat_records
key GET /api/custom_qa
key POST /api/custom_qa
key DELETE /api/custom_qa
key POST /api/channels/webhook/{account}/messages
key POST /api/test_kb
key GET /api/knowledge/search
key GET /api/knowledge/entries
key POST /api/knowledge/entries
key GET /api/knowledge/entries/{entry_id}
key PUT /api/knowledge/entries/{entry_id}
key DELETE /api/knowledge/entries/{entry_id}
key GET /api/knowledge/documents
key DELETE /api/knowledge/documents
key GET /api/knowledge/categories
key POST /api/knowledge/imports
key GET /api/knowledge/imports
key GET /api/knowledge/imports/{job_id}
key POST /api/knowledge/rebuild
key GET /api/knowledge/versions
key GET /api/knowledge/versions/{version}
key POST /api/knowledge/versions/{version}/undo
key POST /api/knowledge/rollback
key GET /api/knowledge/unknown
key GET /api/knowledge/unknown/{cluster_id}
key POST /api/knowledge/unknown/{cluster_id}/answer
key POST /api/knowledge/unknown/{cluster_id}/dismiss
key POST /api/knowledge/unknown/{cluster_id}/reopen
key POST /api/knowledge/unknown/{cluster_id}/merge
key POST /api/knowledge/unknown/{cluster_id}/unmerge
key POST /api/knowledge/unknown/questions/{question_id}/move
key GET /api/knowledge/suggestions
key GET /api/knowledge/suggestions/{suggestion_id}
key POST /api/knowledge/suggestions/{suggestion_id}/accept
key POST /api/knowledge/suggestions/{suggestion_id}/reject
key POST /api/knowledge/suggestions/{suggestion_id}/undo
key POST /api/knowledge/suggestions/{suggestion_id}/reopen
key GET /api/v1/customers
key GET /api/v1/customers/{customer_id}
key PATCH /api/v1/customers/{customer_id}
key POST /api/v1/customers/{customer_id}/tags
key POST /api/v1/customers/{customer_id}/deals
key DELETE /api/v1/customers/{customer_id}/deals/{key:path}
key POST /api/v1/customers/{customer_id}/feedback
key POST /api/v1/customers/{customer_id}/merge
key POST /api/v1/customers/{customer_id}/unmerge
key GET /api/v1/customers/{customer_id}/export
key POST /api/v1/customers/{customer_id}/erase
key GET /api/v1/campaigns
key POST /api/v1/campaigns
key POST /api/v1/campaigns/dry-run
key GET /api/v1/campaigns/{campaign_id:int}
key PUT /api/v1/campaigns/{campaign_id:int}
key GET /api/v1/campaigns/{campaign_id:int}/people
key POST /api/v1/campaigns/{campaign_id:int}/start
key POST /api/v1/campaigns/{campaign_id:int}/pause
key POST /api/v1/campaigns/{campaign_id:int}/cancel
key GET /api/ops/handoffs
key POST /api/ops/handoffs/{handoff_id}
key GET /api/ops/dead-letters
key POST /api/ops/dead-letters/{dead_letter_id}/replay
key GET /api/ops/deliveries
key POST /api/ops/deliveries/{delivery_id}/resend
key GET /api/ops/model-calls
key GET /api/v1/rules
key PUT /api/v1/rules
key POST /api/v1/rules/validate
key POST /api/v1/rules/reload
key POST /api/v1/rules/dry-run
key GET /api/v1/rules/versions
key GET /api/v1/rules/versions/{version}
key POST /api/v1/rules/versions/{version}/revert
key GET /api/ops/price-book
key POST /api/ops/price-book/reload
key GET /api/tools
key GET /api/tools/{name}
key POST /api/tools/{name}
key POST /api/task/receive
key GET /api/task/status/{task_id:path}
key POST /api/task/cancel
key POST /api/task/retry
key GET /api/task/list
key GET /api/approvals
key POST /api/approvals/{approval_id}
key GET /api/orders
key GET /api/orders/{order_id}
key POST /api/orders/{order_id}/amend
key POST /api/orders/{order_id}/confirm
key POST /api/orders/{order_id}/deliver
key POST /api/orders/{order_id}/accept
key POST /api/orders/{order_id}/rework
key POST /api/orders/{order_id}/cancel
key POST /api/orders/{order_id}/assign-designer
key POST /api/pictures
key GET /api/pictures/{sha256}
key POST /api/tuhui/callback
key GET /api/wechat
key POST /api/wechat
key GET /api/wechat/messages
key GET /api/wechat/jsapi
key GET /wecom/callback
key POST /wecom/callback

open POST /api/desk/login
staff POST /api/desk/logout
staff GET /api/desk/me
acts POST /api/desk/presence
staff GET /api/desk/queue
staff GET /api/desk/events
staff GET /api/desk/conversations/{conversation_id}
acts POST /api/desk/conversations/{conversation_id}/take
acts POST /api/desk/conversations/{conversation_id}/say
acts POST /api/desk/conversations/{conversation_id}/notes
acts POST /api/desk/conversations/{conversation_id}/transfer
acts POST /api/desk/conversations/{conversation_id}/resolve
acts POST /api/desk/conversations/{conversation_id}/reopen
acts POST /api/desk/conversations/{conversation_id}/mode
acts POST /api/desk/drafts/{draft_id}
staff GET /api/desk/canned
admin PUT /api/desk/canned
admin DELETE /api/desk/canned/{canned_id}
staff GET /api/desk/agents
admin PUT /api/desk/agents/{agent_id}

staff GET /api/reviews
staff GET /api/reviews/turns/{turn_id}
acts POST /api/reviews/turns/{turn_id}/rerun
acts POST /api/reviews/turns/{turn_id}/mark
acts POST /api/reviews/turns/{turn_id}/save
acts POST /api/reviews/{review_id:int}
staff GET /api/reviews/regressions
acts POST /api/reviews/regressions
staff GET /api/reviews/regressions/{name}
acts PUT /api/reviews/regressions/{name}
acts DELETE /api/reviews/regressions/{name}

open GET /assets/console/{name}
open GET /desk/sign-in
open POST /desk/sign-in
open GET /desk/language/{language}
staff POST /desk/sign-out
acts POST /desk/presence
staff GET /desk
staff GET /desk/{rest:path}
staff GET /desk/search
staff GET /desk/conversations/{conversation}
staff GET /desk/conversations/{conversation}/pictures/{sha256}
acts POST /desk/conversations/{conversation}/take
acts POST /desk/conversations/{conversation}/say
acts POST /desk/conversations/{conversation}/note
acts POST /desk/conversations/{conversation}/transfer
acts POST /desk/conversations/{conversation}/resolve
acts POST /desk/conversations/{conversation}/reopen
acts POST /desk/conversations/{conversation}/mode
acts POST /desk/conversations/{conversation}/drafts/{draft}
acts POST /desk/pictures
staff GET /desk/orders
staff GET /desk/orders/{order_id}
staff GET /desk/orders/{order_id}/pictures/{sha256}
acts POST /desk/orders/{order_id}
staff GET /desk/approvals
acts POST /desk/approvals/{approval}
staff GET /desk/deliveries
acts POST /desk/deliveries/{delivery}/resend
acts POST /desk/deliveries/parked/{letter}/replay
unscoped GET /desk/tasks
unscoped GET /desk/tasks/one
unscoped-acts POST /desk/tasks/cancel
unscoped-acts POST /desk/tasks/retry
staff GET /desk/knowledge
unscoped-acts POST /desk/knowledge/entries
unscoped GET /desk/knowledge/imports
admin POST /desk/knowledge/imports
unscoped GET /desk/knowledge/suggestions
unscoped-acts POST /desk/knowledge/suggestions/{suggestion}
unscoped GET /desk/knowledge/unknown
unscoped-acts POST /desk/knowledge/unknown/{cluster}
staff GET /desk/turns/{turn_id}
acts POST /desk/turns/{turn_id}/rerun
acts POST /desk/turns/{turn_id}/mark
acts POST /desk/turns/{turn_id}/save
staff GET /desk/reviews
acts POST /desk/reviews/{review}/settle
staff GET /desk/reviews/tests
acts POST /desk/reviews/tests/run
acts POST /desk/reviews/tests/drop
unscoped GET /desk/overview
admin GET /desk/customers
admin GET /desk/customers/{customer_id}
admin POST /desk/customers/{customer_id}
admin POST /desk/customers/{customer_id}/tags
admin POST /desk/customers/{customer_id}/merge
admin POST /desk/customers/{customer_id}/unmerge
admin GET /desk/customers/{customer_id}/export
admin POST /desk/customers/{customer_id}/erase
admin GET /desk/campaigns
admin POST /desk/campaigns
admin POST /desk/campaigns/{campaign}/{act}
admin GET /desk/rules
admin POST /desk/rules
admin POST /desk/rules/try
admin POST /desk/rules/revert
admin GET /desk/clients
admin POST /desk/clients
admin POST /desk/clients/one
admin POST /desk/clients/keys
admin POST /desk/clients/keys/revoke
admin GET /desk/agents
admin POST /desk/agents
staff GET /desk/canned
admin POST /desk/canned
admin POST /desk/canned/{canned}/drop
"""
LISTED = {
    (method, path): audience
    for audience, method, path in (line.split() for line in TABLE.splitlines() if line)
}
ENDS_SESSIONS = {"/api/desk/logout", "/desk/sign-out"}


def addresses(routes: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    for route in routes:
        inner: Any = getattr(route, "original_router", None)
        if inner is not None:
            within: Any = route
            yield from addresses(inner.routes, prefix + within.include_context.prefix)
            continue
        path = route.path if isinstance(route, Mount) else getattr(route, "path", "?")
        methods = getattr(route, "methods", None) or {"GET" if isinstance(route, Mount) else "*"}
        # A HEAD is answered wherever its GET is, by the same code.
        yield from ((method, prefix + path) for method in sorted(methods - {"HEAD"}))


@pytest.fixture(scope="module")
def seats(staffed: Service) -> Iterator[dict[str, Seat]]:
    some, every = ["api:tests"], ["*"]
    employ(staffed, "lamp", role="viewer", scopes=some)
    employ(staffed, "eye", role="viewer", scopes=every)
    employ(staffed, "spark", role="agent", scopes=some)
    employ(staffed, "star", role="agent", scopes=every)
    employ(staffed, "boss", role="admin", scopes=every)
    signed = {login: sign_in(staffed, login) for login in CALLERS[1:-1]}
    signed["nobody"] = Seat(new_client(staffed))
    signed["key"] = Seat(new_client(staffed, **WITH_KEY))
    yield signed
    for seat in signed.values():
        seat.client.close()


def test_every_address_of_the_service_is_listed(staffed: Service) -> None:
    assert set(addresses(staffed.app.routes)) == set(LISTED)


@pytest.mark.parametrize(("method", "path"), LISTED)
def test_an_address_admits_whom_it_is_for_and_nobody_else(
    staffed: Service, seats: dict[str, Seat], method: str, path: str
) -> None:
    admitted = ADMITTED[LISTED[method, path]]
    found: dict[str, Gate] = {}
    for caller in CALLERS:
        seat = seats[caller]
        if path in ENDS_SESSIONS and seat.csrf:
            seat = sign_in(staffed, caller)
        found[caller] = gate(seat, method, path)
    expected: dict[str, Gate] = {
        caller: "in" if caller in admitted else _refused(LISTED[method, path], caller)
        for caller in CALLERS
    }
    assert found == expected


def _refused(audience: str, caller: str) -> Gate:
    """A session is nothing to addresses that ask for the key; where it counts, it is not enough."""
    return "out" if audience == "key" or caller == "nobody" else "no"


def gate(seat: Seat, method: str, path: str) -> Gate:
    address = re.sub(r"\{sha256\}", "0" * 64, path)
    address = re.sub(r"\{[^}]+\}", "1", address)
    headers = {CSRF_HEADER: seat.csrf} if seat.csrf else {}
    method = "POST" if method == "*" else method
    body: Any = None if method == "GET" else {}
    with seat.client.stream(method, address, json=body, headers=headers) as response:
        status, to = response.status_code, response.headers.get("location", "")
    if to.startswith(f"{SIGN_IN_PATH}?next=") or (status == 401 and path != SIGN_IN_PATH):
        return "out"
    return "no" if status == 403 else "in"
