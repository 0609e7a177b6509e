"""A mapping file is read whole or refused with its name and the key that is wrong."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from domain.errors import ConfigurationError
from tests.tools.qingjian.bridge import NESTED
from tools.qingjian.mapping import default_text, load_mapping, parse_mapping

Change = Callable[[dict[str, Any]], object]


def without(*keys: str) -> Change:
    def change(mapping: dict[str, Any]) -> None:
        part = mapping
        for key in keys[:-1]:
            part = part[key]
        del part[keys[-1]]

    return change


def put(value: object, *keys: str | int) -> Change:
    def change(mapping: dict[str, Any]) -> None:
        part: Any = mapping
        for key in keys[:-1]:
            part = part[key]
        part[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "key", "hint"),
    [
        (without("incoming"), "incoming", "is missing"),
        (without("fields"), "fields", "is missing"),
        (without("outgoing", "text"), "outgoing.text", "is missing"),
        (put([], "incoming"), "incoming", "at least 1"),
        (put({"kind": "foo", "when": {}}, "incoming", 0), "incoming.0", "unknown kind"),
        (put({"when": {}}, "incoming", 0), "incoming.0", "has no kind"),
        (put({"kind": "ignore"}, "incoming", 0), "incoming.0.when", "is missing"),
        (put({"kind": "message", "when": {}, "x": 1}, "incoming", 2), "incoming.2.x", "no known"),
        (put("Pay!", "incoming", 1, "event"), "incoming.1.event", "pattern"),
        (put("a..b", "fields", "text"), "fields.text.path", "'a..b' is no path"),
        (put(1, "fields", "text"), "fields.text", "an object"),
        (put("x", "fields", "txt"), "fields.txt", "no known key"),
        (put({}, "fields", "sender_id"), "fields.sender_id", "who wrote"),
        (put({}, "incoming", 3, "id"), "incoming.3.id", "needs a path"),
        (put("minutes", "time", "unit"), "time.unit", "'auto'"),
        (put("{txt}", "outgoing", "text"), "outgoing.text", "{txt} is no known place"),
        (put("{message_id}", "outgoing", "text"), "outgoing.text", "never uses {text}"),
        (put("{text}", "outgoing", "text"), "outgoing.text", "{message_id}"),
        (put("{text}{message_id}", "outgoing", "image"), "outgoing.image", "never uses {url}"),
        (put("{frame.a}", "outgoing", "login"), "outgoing.login", "only in an answer"),
        (put("{text}", "outgoing", "received"), "outgoing.received", "no known place"),
        (put("{frame.a..b}", "outgoing", "received"), "outgoing.received", "no path"),
        (put("{text}", "incoming", 4, "answer"), "incoming.4.answer", "no known place"),
        (put(0, "connection", "heartbeat_s"), "connection.heartbeat_s", "greater than 0"),
        (put(7, "accounts", "9"), "accounts.9", "valid string"),
        (lambda m: m["incoming"].pop(2), "incoming", '"message"'),
    ],
)
def test_what_is_wrong_is_named_by_file_and_key(change: Change, key: str, hint: str) -> None:
    mapping = copy.deepcopy(NESTED)
    change(mapping)
    with pytest.raises(ConfigurationError) as caught:
        parse_mapping(json.dumps(mapping), "shop.json")
    assert caught.value.variable == "QINGJIAN_MAPPING_FILE"
    assert caught.value.reason.startswith(f"'shop.json': {key}")
    assert hint in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', b"\xff"])
def test_what_is_no_json_object_is_refused(text: str | bytes) -> None:
    with pytest.raises(ConfigurationError, match=r"shop\.json"):
        parse_mapping(text, "shop.json")


def test_a_file_is_read_and_named(tmp_path: Path) -> None:
    file = tmp_path / "own.json"
    file.write_text(json.dumps(NESTED), "utf-8")
    assert load_mapping(file).accounts == {"9": "WeCom"}
    with pytest.raises(ConfigurationError, match=r"gone\.json"):
        load_mapping(tmp_path / "gone.json")
    file.write_bytes(b" " * 2_000_000)
    with pytest.raises(ConfigurationError, match="too large"):
        load_mapping(file)


def test_the_default_is_a_whole_mapping_that_acknowledges_both_ways() -> None:
    mapping = load_mapping()
    assert mapping.acknowledges
    assert mapping.answers_login
    assert mapping.outgoing.received is not None
    assert mapping == parse_mapping(default_text(), "again")
