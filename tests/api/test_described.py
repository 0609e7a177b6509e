"""The OpenAPI document is true: what is made from it is answered as it says, never with a 5xx."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.desk.session import CSRF_HEADER
from tests.api.envelope import refusal
from tests.api.service import Service, running_service

JsonObject = dict[str, Any]
Values = st.SearchStrategy[Any]

_text = st.text(st.characters(exclude_categories=[]), max_size=40)  # lone surrogates too
_anything: Values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=6,
)

_USUAL = {
    "account": st.just("shop"),
    "name": st.sampled_from(["send_message", "get_customer", "add_tag", "list_handoffs"]),
    "limit": st.integers(1, 9),
    "offset": st.integers(0, 9),
    "page": st.integers(1, 9),
    "page_size": st.integers(1, 9),
}

OPERATIONS = [
    ("post", "/api/v1/messages"),
    ("post", "/api/v1/messages/stream"),
    ("post", "/api/v1/auth/login"),
    ("post", "/api/v1/heartbeat"),
    ("get", "/api/v1/clients"),
    ("post", "/api/v1/clients"),
    ("get", "/api/v1/clients/{agent_id}"),
    ("patch", "/api/v1/clients/{agent_id}"),
    ("post", "/api/v1/clients/{agent_id}/keys"),
    ("delete", "/api/v1/clients/{agent_id}/keys/{key_id}"),
    ("get", "/api/v1/audit"),
    ("get", "/api/v1/sessions"),
    ("get", "/api/v1/sessions/{session_id}"),
    ("get", "/api/v1/messages/{message_id}/answer"),
    ("post", "/api/ai_chat"),
    ("post", "/api/transfer_service"),
    ("get", "/api/transfer_service"),
    ("get", "/wecom/callback"),
    ("post", "/wecom/callback"),
    ("get", "/api/wechat"),
    ("post", "/api/wechat"),
    ("get", "/api/wechat/messages"),
    ("get", "/api/wechat/jsapi"),
    ("post", "/api/service_reply"),
    ("get", "/api/chat_records"),
    ("get", "/api/custom_qa"),
    ("post", "/api/custom_qa"),
    ("delete", "/api/custom_qa"),
    ("post", "/api/channels/webhook/{account}/messages"),
    ("post", "/api/task/receive"),
    ("get", "/api/task/status/{task_id}"),
    ("post", "/api/task/cancel"),
    ("post", "/api/task/retry"),
    ("get", "/api/task/list"),
    ("get", "/api/health"),
    ("get", "/livez"),
    ("get", "/health"),
    ("get", "/metrics"),
    ("get", "/api/v1/stats"),
    ("get", "/api/v1/alerts"),
    ("get", "/api/ops/handoffs"),
    ("post", "/api/ops/handoffs/{handoff_id}"),
    ("get", "/api/ops/dead-letters"),
    ("post", "/api/ops/dead-letters/{dead_letter_id}/replay"),
    ("get", "/api/ops/deliveries"),
    ("post", "/api/ops/deliveries/{delivery_id}/resend"),
    ("get", "/api/ops/model-calls"),
    ("get", "/api/v1/rules"),
    ("put", "/api/v1/rules"),
    ("post", "/api/v1/rules/validate"),
    ("post", "/api/v1/rules/reload"),
    ("post", "/api/v1/rules/dry-run"),
    ("get", "/api/v1/rules/versions"),
    ("get", "/api/v1/rules/versions/{version}"),
    ("post", "/api/v1/rules/versions/{version}/revert"),
    ("get", "/api/ops/price-book"),
    ("post", "/api/ops/price-book/reload"),
    ("post", "/api/test_kb"),
    ("get", "/api/knowledge/search"),
    ("get", "/api/knowledge/entries"),
    ("post", "/api/knowledge/entries"),
    ("get", "/api/knowledge/entries/{entry_id}"),
    ("put", "/api/knowledge/entries/{entry_id}"),
    ("delete", "/api/knowledge/entries/{entry_id}"),
    ("get", "/api/knowledge/documents"),
    ("delete", "/api/knowledge/documents"),
    ("get", "/api/knowledge/categories"),
    ("post", "/api/knowledge/imports"),
    ("get", "/api/knowledge/imports"),
    ("get", "/api/knowledge/imports/{job_id}"),
    ("post", "/api/knowledge/rebuild"),
    ("get", "/api/knowledge/versions"),
    ("get", "/api/knowledge/versions/{version}"),
    ("post", "/api/knowledge/versions/{version}/undo"),
    ("post", "/api/knowledge/rollback"),
    ("get", "/api/knowledge/unknown"),
    ("get", "/api/knowledge/unknown/{cluster_id}"),
    ("post", "/api/knowledge/unknown/{cluster_id}/answer"),
    ("post", "/api/knowledge/unknown/{cluster_id}/dismiss"),
    ("post", "/api/knowledge/unknown/{cluster_id}/reopen"),
    ("post", "/api/knowledge/unknown/{cluster_id}/merge"),
    ("post", "/api/knowledge/unknown/{cluster_id}/unmerge"),
    ("post", "/api/knowledge/unknown/questions/{question_id}/move"),
    ("get", "/api/knowledge/suggestions"),
    ("get", "/api/knowledge/suggestions/{suggestion_id}"),
    ("post", "/api/knowledge/suggestions/{suggestion_id}/accept"),
    ("post", "/api/knowledge/suggestions/{suggestion_id}/reject"),
    ("post", "/api/knowledge/suggestions/{suggestion_id}/undo"),
    ("post", "/api/knowledge/suggestions/{suggestion_id}/reopen"),
    ("get", "/api/orders"),
    ("get", "/api/orders/{order_id}"),
    ("post", "/api/orders/{order_id}/amend"),
    ("post", "/api/orders/{order_id}/confirm"),
    ("post", "/api/orders/{order_id}/deliver"),
    ("post", "/api/orders/{order_id}/accept"),
    ("post", "/api/orders/{order_id}/rework"),
    ("post", "/api/orders/{order_id}/cancel"),
    ("post", "/api/orders/{order_id}/assign-designer"),
    ("post", "/api/pictures"),
    ("get", "/api/pictures/{sha256}"),
    ("get", "/pictures/{sha256}"),
    ("post", "/api/tuhui/callback"),
    ("get", "/api/tools"),
    ("get", "/api/tools/{name}"),
    ("post", "/api/tools/{name}"),
    ("post", "/api/desk/login"),
    ("post", "/api/desk/logout"),
    ("get", "/api/desk/me"),
    ("post", "/api/desk/presence"),
    ("get", "/api/desk/queue"),
    ("get", "/api/desk/events"),
    ("get", "/api/desk/conversations/{conversation_id}"),
    ("post", "/api/desk/conversations/{conversation_id}/take"),
    ("post", "/api/desk/conversations/{conversation_id}/say"),
    ("post", "/api/desk/conversations/{conversation_id}/notes"),
    ("post", "/api/desk/conversations/{conversation_id}/transfer"),
    ("post", "/api/desk/conversations/{conversation_id}/resolve"),
    ("post", "/api/desk/conversations/{conversation_id}/reopen"),
    ("post", "/api/desk/conversations/{conversation_id}/mode"),
    ("post", "/api/desk/drafts/{draft_id}"),
    ("get", "/api/desk/canned"),
    ("put", "/api/desk/canned"),
    ("delete", "/api/desk/canned/{canned_id}"),
    ("get", "/api/desk/agents"),
    ("put", "/api/desk/agents/{agent_id}"),
    ("get", "/api/v1/customers"),
    ("get", "/api/v1/customers/{customer_id}"),
    ("patch", "/api/v1/customers/{customer_id}"),
    ("post", "/api/v1/customers/{customer_id}/tags"),
    ("post", "/api/v1/customers/{customer_id}/deals"),
    ("delete", "/api/v1/customers/{customer_id}/deals/{key}"),
    ("post", "/api/v1/customers/{customer_id}/feedback"),
    ("post", "/api/v1/customers/{customer_id}/merge"),
    ("post", "/api/v1/customers/{customer_id}/unmerge"),
    ("get", "/api/v1/customers/{customer_id}/export"),
    ("post", "/api/v1/customers/{customer_id}/erase"),
    ("get", "/api/v1/campaigns"),
    ("post", "/api/v1/campaigns"),
    ("post", "/api/v1/campaigns/dry-run"),
    ("get", "/api/v1/campaigns/{campaign_id}"),
    ("put", "/api/v1/campaigns/{campaign_id}"),
    ("get", "/api/v1/campaigns/{campaign_id}/people"),
    ("post", "/api/v1/campaigns/{campaign_id}/start"),
    ("post", "/api/v1/campaigns/{campaign_id}/pause"),
    ("post", "/api/v1/campaigns/{campaign_id}/cancel"),
    ("get", "/api/approvals"),
    ("post", "/api/approvals/{approval_id}"),
    ("get", "/api/reviews"),
    ("get", "/api/reviews/turns/{turn_id}"),
    ("post", "/api/reviews/turns/{turn_id}/rerun"),
    ("post", "/api/reviews/turns/{turn_id}/mark"),
    ("post", "/api/reviews/turns/{turn_id}/save"),
    ("post", "/api/reviews/{review_id}"),
    ("get", "/api/reviews/regressions"),
    ("post", "/api/reviews/regressions"),
    ("get", "/api/reviews/regressions/{name}"),
    ("put", "/api/reviews/regressions/{name}"),
    ("delete", "/api/reviews/regressions/{name}"),
]

ENDLESS = {"/api/desk/events"}
"""A stream that lasts as long as somebody reads it."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One that knows nothing: what is invented here fills no other test's tables."""
    with running_service(tmp_path_factory.mktemp("described")) as running:
        # Else the desk would ask for it, and look at nothing else.
        csrf = running.client.get("/api/desk/me").json()["csrf"]
        running.client.headers[CSRF_HEADER] = csrf
        yield running


@pytest.fixture(scope="module")
def document(service: Service) -> JsonObject:
    described: JsonObject = service.client.get("/openapi.json").json()
    return described


def fitting(schema: JsonObject, document: JsonObject) -> Values:
    """Values that more or less fit ``schema``: the shape is right, the limits may be broken."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return fitting(document["components"]["schemas"][name], document)
    if "anyOf" in schema:
        return st.one_of([fitting(part, document) for part in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    kind = schema.get("type")
    if kind == "object" and "properties" in schema:
        return _objects(schema, document)
    if kind == "array":
        return st.lists(fitting(schema.get("items", {}), document), max_size=3)
    if kind == "string" and schema.get("format") == "date-time":
        return st.datetimes(timezones=st.none() | st.timezones()).map(lambda at: at.isoformat())
    plain: dict[Any, Values] = {
        "string": _text,
        "integer": st.integers(),
        "number": st.floats() | st.integers(),
        "boolean": st.booleans(),
        "null": st.none(),
    }
    return plain.get(kind, _anything)


def _objects(schema: JsonObject, document: JsonObject) -> Values:
    required = schema.get("required", [])
    members = {name: fitting(part, document) for name, part in schema["properties"].items()}
    return st.fixed_dictionaries(
        {name: members[name] for name in required},
        optional={name: member for name, member in members.items() if name not in required},
    )


def _spoilt(body: Any, data: st.DataObject) -> Any:
    """``body`` with something else in one place, sometimes."""
    if not isinstance(body, dict) or not body or not data.draw(st.booleans()):
        return body
    name = data.draw(st.sampled_from(sorted(body)))
    inner = body[name]
    deeper = isinstance(inner, dict) and data.draw(st.booleans())
    return body | {name: _spoilt(inner, data) if deeper else data.draw(_anything)}


def test_every_address_of_the_service_is_described(document: JsonObject) -> None:
    described = {(m, path) for path, methods in document["paths"].items() for m in methods}
    assert described == set(OPERATIONS)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_whatever_is_made_from_the_description_is_answered_as_described(
    service: Service, document: JsonObject, method: str, path: str
) -> None:
    operation = document["paths"][path][method]
    parameters = operation.get("parameters", [])
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    # An empty last part makes another address of it: 405 there, or 307 to the one without slash.
    described = {int(status) for status in operation["responses"]} | {307, 405}

    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def answered(data: st.DataObject) -> None:
        address, query = path, {}
        for parameter in parameters:
            shaped = fitting(parameter["schema"], document)
            value = data.draw(_USUAL.get(parameter["name"], shaped) | _anything)
            spelt = value if isinstance(value, str) else json.dumps(value)
            spelt = spelt.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
            if parameter["in"] == "path":
                address = address.replace(f"{{{parameter['name']}}}", quote(spelt, safe=""))
            elif parameter["required"] or data.draw(st.booleans()):
                query[parameter["name"]] = spelt
        sent = None
        if schema is not None:
            sent = json.dumps(_spoilt(data.draw(fitting(schema, document)), data)).encode()
        with service.client.stream(
            method,
            service.url + address,
            params=query,
            content=sent,
            headers={"Content-Type": "application/json"} if sent is not None else {},
        ) as response:
            if not (response.is_success and path in ENDLESS):
                response.read()
        assert response.status_code < 500, response.text
        if response.status_code >= 400:
            refusal(response)
        assert response.status_code in described

    answered()
