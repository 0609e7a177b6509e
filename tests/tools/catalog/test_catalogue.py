"""What holds for every tool of the catalogue."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.message_fields import LONGEST, check, fill, longest_values
from tests.tools.catalog.calls import REGISTRY, XIAOMING, Desk, customer
from tools.catalog import catalogue
from tools.registry import STAFF, NotAllowed, Role, Tool

NAMES = [tool.name for tool in catalogue()]

EXAMPLES: dict[str, dict[str, Any]] = {
    "send_message": {"message": "这是您要的文件"},
    "send_file": {"file_url": "https://cdn.example/a.pdf", "message": "您要的文件"},
    "send_image": {"image_url": "https://cdn.example/a.png"},
    "schedule_message": {"time": "2026-02-28 09:00:00", "message": "早上好!"},
    "transfer_to_human": {"reason": "要求退款", "message": "马上为您转接"},
    "dispatch_designer": {"description": "做高清修复"},
    "notify_staff": {"message": "有新订单"},
    "list_handoffs": {},
    "get_customer": {},
    "get_conversation": {"limit": 5},
    "add_tag": {"tags": ["意向客户"], "remove": ["新客"]},
    "update_customer": {"remark": "喜欢蓝色", "state": "deal"},
    "create_image_task": {"requirement": "去掉水印", "image_urls": ["https://cdn.example/a.png"]},
    "list_image_tasks": {},
}


def test_the_seeds_actions_are_tools() -> None:
    actions = {"send_message", "send_file", "send_image", "transfer_to_human", "dispatch_designer"}
    actions |= {"create_image_task", "add_tag", "update_customer", "notify_staff"}
    assert actions | {"schedule_message"} <= set(NAMES)
    assert set(EXAMPLES) == set(NAMES)


@pytest.mark.parametrize("tool", catalogue(), ids=NAMES)
def test_a_tool_is_described_in_chinese_and_every_argument_is_limited(tool: Tool[Any]) -> None:
    described = tool.described()
    assert _chinese(described["title"])
    assert _chinese(described["description"])
    assert described["input_schema"]["additionalProperties"] is False
    for name, schema in described["input_schema"]["properties"].items():
        assert _chinese(schema["description"]), name
        for part in _parts(schema):
            assert _is_limited(part), (name, part)
    for name, schema in described["output_schema"]["properties"].items():
        assert _chinese(schema["description"]), name
    json.dumps(described)


def _chinese(text: str) -> bool:
    return any("\u4e00" <= sign <= "\u9fff" for sign in text)


def _parts(schema: dict[str, Any]) -> list[dict[str, Any]]:
    alternatives = schema.get("anyOf", [schema])
    return [*alternatives, *(part["items"] for part in alternatives if "items" in part)]


def _is_limited(part: dict[str, Any]) -> bool:
    match part.get("type"):
        case "string":
            return "maxLength" in part or "enum" in part or "}$" in part.get("pattern", "")
        case "integer":
            return "minimum" in part and "maximum" in part
        case "array":
            return "maxItems" in part
        case kind:
            return kind == "null"


async def test_what_a_tool_brings_about_becomes_rows_once(writing_desk: Desk) -> None:
    made = 0
    for name, arguments in EXAMPLES.items():
        outcome = await writing_desk.call(name, arguments, about=XIAOMING)
        assert len({effect.name for effect in outcome.effects}) == len(outcome.effects)
        await writing_desk.apply(outcome, key=name)
        before = await _everything(writing_desk)
        again = await writing_desk.apply(outcome, key=name)
        assert again.deliveries == 0, name
        assert await _everything(writing_desk) == before, name
        made += len(outcome.effects)
    assert len(await writing_desk.rows("SELECT key FROM effects")) == made


async def _everything(desk: Desk) -> list[list[dict[str, Any]]]:
    tables = (
        "outbox",
        "messages",
        "handoffs",
        "customer_tags",
        "customers",
        "image_tasks",
        "tasks",
    )
    return [await desk.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]


@pytest.mark.parametrize("tool", catalogue(), ids=NAMES)
def test_an_argument_that_a_tool_does_not_know_is_refused(tool: Tool[Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        tool.parse(EXAMPLES[tool.name] | {"sender": "boss"})
    assert (caught.value.field, caught.value.reason) == ("sender", "不支持的参数")


@pytest.mark.parametrize("tool", catalogue(), ids=NAMES)
def test_a_null_argument_is_one_that_was_left_out(tool: Tool[Any]) -> None:
    example = EXAMPLES[tool.name]
    nulls = dict.fromkeys(tool.args.model_fields.keys() - example.keys())
    assert tool.parse(example | nulls) == tool.parse(example)


def test_customers_may_use_three_tools_and_staff_all() -> None:
    own = {"transfer_to_human", "get_conversation", "create_image_task"}
    assert {tool.name for tool in catalogue() if Role.CUSTOMER in tool.roles} == own
    assert all(tool.roles >= STAFF for tool in catalogue())


@pytest.mark.parametrize(
    "name", [tool.name for tool in catalogue() if Role.CUSTOMER not in tool.roles]
)
async def test_a_customer_is_refused_the_tools_of_staff(desk: Desk, name: str) -> None:
    with pytest.raises(NotAllowed):
        await desk.call(name, EXAMPLES[name], caller=customer(XIAOMING), about=XIAOMING)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
@pytest.mark.parametrize("tool", catalogue(), ids=NAMES)
def test_any_json_is_arguments_or_an_invalid_input(tool: Tool[Any], data: st.DataObject) -> None:
    fields = st.sampled_from([*tool.args.model_fields, "other"])
    arguments = data.draw(st.dictionaries(fields, _JSON))
    try:
        parsed = tool.parse(arguments)
    except InvalidInput:
        return
    assert "\x00" not in json.dumps(parsed.model_dump(mode="json"), ensure_ascii=False)


@pytest.mark.parametrize(
    ("name", "arguments", "field", "hint"),
    [
        ("send_message", {}, "message", "缺少"),
        ("send_message", {"message": "\u200b \n"}, "message", "不能为空"),
        ("send_message", {"message": "字" * 4001}, "message", "4000"),
        ("send_message", {"message": ["x"]}, "message", "字符串"),
        ("send_message", {"message": "x", "customer_id": "a\nb"}, "customer_id", "控制字符"),
        ("send_message", {"message": "x", "customer_id": "{{trigger.text}}"}, "customer_id", "{{"),
        ("send_message", {"message": "x", "customer_id": "长" * 385}, "customer_id", "384"),
        ("dispatch_designer", {"description": "x", "priority": 4}, "priority", "不能大于 3"),
        ("dispatch_designer", {"description": "x", "priority": "高"}, "priority", "整数"),
        ("dispatch_designer", {"description": "x", "task_type": "A B"}, "task_type", "格式"),
        ("transfer_to_human", {"priority": "urgent"}, "priority", "可用的值"),
        ("add_tag", {}, "arguments", "至少填写一项"),
        ("add_tag", {"tags": "意向"}, "tags", "数组"),
        ("add_tag", {"tags": ["a"] * 21}, "tags", "20"),
        ("add_tag", {"tags": [" "]}, "tags.0", "不能为空"),
        ("add_tag", {"tags": ["a"], "remove": ["a"]}, "arguments", "同时"),
        ("update_customer", {}, "arguments", "至少填写一项"),
        ("update_customer", {"name": ""}, "name", "不能为空"),
        ("update_customer", {"state": "vip"}, "state", "potential"),
        ("update_customer", {"level": "white"}, "level", "不支持"),
        ("get_conversation", {"limit": 0}, "limit", "不能小于 1"),
        ("get_conversation", {"limit": 101}, "limit", "100"),
        ("create_image_task", {"requirement": "x", "image_urls": ["a"]}, "image_urls.0", "http"),
        ("schedule_message", {"message": "x"}, "arguments", "只能填写一项"),
        ("schedule_message", {"delay_minutes": 5}, "arguments", "至少填写一项"),
        (
            "schedule_message",
            {"message": "x", "delay_minutes": 5, "time": "2026-02-28 09:00:00"},
            "arguments",
            "只能填写一项",
        ),
    ],
)
async def test_an_unusable_argument_is_named_with_a_reason_in_chinese(
    name: str, arguments: dict[str, Any], field: str, hint: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        REGISTRY.get(name).parse(arguments)
    assert caught.value.field == field
    assert hint in caught.value.reason


@pytest.mark.parametrize(
    ("name", "arguments", "refused"),
    [
        ("send_message", {"message": "{{customer.name}},您说:{{trigger.text}}"}, None),
        ("send_message", {"message": "字" * 3900 + "{{trigger.text}}"}, "message"),
        ("send_message", {"message": "x", "customer_id": "{{trigger.text}}"}, "customer_id"),
        ("send_file", {"file_url": "https://{{trigger.text}}/a"}, "file_url"),
        ("send_file", {"file_url": "https://cdn.example/{{customer.id}}.png"}, "file_url"),
        ("schedule_message", {"message": "x", "time": "{{trigger.time}}"}, "time"),
        ("add_tag", {"tags": ["{{trigger.text}}"]}, "tags.0"),
        ("dispatch_designer", {"description": "{{trigger.text}}"}, None),
    ],
)
def test_what_a_field_might_spoil_is_known_before_it_is_filled(
    name: str, arguments: dict[str, Any], refused: str | None
) -> None:
    check(arguments, frozenset(LONGEST))
    filled = fill(arguments, longest_values())
    if refused is None:
        REGISTRY.get(name).parse(filled)
        return
    with pytest.raises(InvalidInput) as caught:
        REGISTRY.get(name).parse(filled)
    assert caught.value.field == refused


@pytest.mark.parametrize(
    "url",
    [
        "ftp://cdn.example/a",
        "javascript:alert(1)",
        "/etc/passwd",
        "http://",
        "https:///a",
        "http://host:99999/a",
        "http://[::1/a",
        "http://user:secret@host/a",
        "https://{{trigger.text}}/a",
        "https://cdn.example/a b",
        "https://cdn.example/\u202ea",
        "https://" + "h" * 2048,
    ],
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        REGISTRY.get("send_file").parse({"file_url": url})
    assert caught.value.field == "file_url"


@pytest.mark.parametrize(
    "url",
    ["HTTPS://cdn.example/a", "http://127.0.0.1:8005/a?b=c#d", "https://cdn.example/报价单.pdf"],
)
def test_a_web_address_may_have_port_query_and_chinese_names(url: str) -> None:
    assert REGISTRY.get("send_file").parse({"file_url": f" {url} "}).file_url == url
