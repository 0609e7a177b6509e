"""The rules over HTTP: shown, edited by versions, reloaded, and tried on the past."""

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.api.envelope import refusal
from tests.api.service import Service, running_service

DEFAULT = (resources.files("engine") / "defaults" / "rules.yaml").read_text("utf-8")
RULES = "/api/v1/rules"
GIFT = """
  - id: gift
    name: 送礼客户
    stage: presale
    pause_minutes: 60
    when:
      text: {words: [送礼, 礼物]}
      customer: {levels: [gray]}
    then:
      - tag: [送礼]
      - reply: "{{customer.name}}您好,送礼可选礼盒装,具体请稍候"
"""
WITH_GIFT = DEFAULT.rstrip() + GIFT
BROKEN = DEFAULT.replace("action: flag", "action: shout")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(DEFAULT, "utf-8")
    return path


@pytest.fixture
def service(file: Path, tmp_path: Path) -> Iterator[Service]:
    with running_service(tmp_path / "data", rules_file=file) as running:
        yield running


def put(service: Service, content: str, version: int = 1, note: str = "") -> dict[str, Any]:
    body = {"content": content, "version": version, "note": note}
    response = service.client.put(RULES, json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def scalars(service: Service, sql: str) -> list[Any]:
    with service.kefu.engine.database.engine.connect() as connection:
        return list(connection.execute(text(sql)).scalars())


def dry_run(service: Service, **asked: Any) -> list[dict[str, Any]]:
    response = service.client.post(f"{RULES}/dry-run", json=asked)
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


def test_the_version_in_use_is_shown_with_its_rules(service: Service, file: Path) -> None:
    shown = service.client.get(RULES).json()
    assert (shown["version"], shown["source"], shown["file"]) == (1, "file", str(file))
    assert shown["content"] == DEFAULT
    rules = {one["id"]: one for one in shown["rules"]}
    assert rules["presale_bulk"]["does"] == ["tag", "flag", "notify_staff"]
    assert (rules["presale_bulk"]["fired"], rules["presale_interest"]["enabled"]) == (0, False)


def test_an_edit_is_a_version_in_use_at_once_and_its_tool_acts_in_the_turn(
    service: Service,
) -> None:
    shown = put(service, WITH_GIFT, note="礼盒")
    assert (shown["version"], shown["source"], shown["note"]) == (2, "api", "礼盒")
    answer = service.ask("想买来送礼", message_id="m1", chat_id="小李")
    assert answer["content"] == "小李您好,送礼可选礼盒装,具体请稍候"
    assert (answer["decision"], answer["source"], answer["rules"]) == (
        "rule",
        "rule:gift",
        ["gift"],
    )
    assert scalars(service, "SELECT tag FROM customer_tags") == ["送礼"]
    assert scalars(service, "SELECT rule_id FROM rule_firings") == ["gift"]
    rules = {one["id"]: one for one in service.client.get(RULES).json()["rules"]}
    assert rules["gift"]["fired"] == 1
    again = service.ask("想买来送礼", message_id="m1", chat_id="小李")
    assert again["content"] == answer["content"]
    assert scalars(service, "SELECT COUNT(*) FROM rule_firings") == [1]


def test_a_rule_rests_in_its_conversation_and_not_in_others(service: Service) -> None:
    put(service, WITH_GIFT)
    asked = [("m1", "甲"), ("m2", "甲"), ("m3", "乙")]
    answers = [service.ask("想买来送礼", message_id=at, chat_id=who) for at, who in asked]
    assert [one["rules"] for one in answers] == [["gift"], [], ["gift"]]


def test_an_edit_of_an_older_version_is_refused(service: Service) -> None:
    put(service, WITH_GIFT)
    response = service.client.put(RULES, json={"content": DEFAULT, "version": 1})
    field, message = refusal(response, 409)
    assert field == "version"
    assert "第 2 版" in message


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("action: flag", "action: shout", "rules.yaml.rules."),
        ("- tool: notify_staff", "- tool: erase_disk", "triggers.1.then.2.tool"),
        ("title: 大客户线索", "heading: 大客户线索", "triggers.1.then.2.arguments.heading"),
        ("- flag: 少件破损", "- template: quote", "triggers.2.then.2.template"),
    ],
)
def test_rules_that_cannot_be_used_are_refused_by_their_key_and_nothing_changes(
    service: Service, old: str, new: str, key: str
) -> None:
    wrong = DEFAULT.replace(old, new, 1)
    for response in (
        service.client.post(f"{RULES}/validate", json={"content": wrong}),
        service.client.put(RULES, json={"content": wrong, "version": 1}),
    ):
        field, _ = refusal(response, 422)
        assert key in str(field)
    assert service.client.get(RULES).json()["version"] == 1


def test_versions_are_listed_shown_and_reverted_to(service: Service) -> None:
    put(service, WITH_GIFT)
    listed = service.client.get(f"{RULES}/versions", params={"limit": 1}).json()
    assert [one["version"] for one in listed["items"]] == [2]
    more = service.client.get(f"{RULES}/versions", params={"before": listed["next"]}).json()
    assert [one["source"] for one in more["items"]] == ["file"]
    assert service.client.get(f"{RULES}/versions/2").json()["content"] == WITH_GIFT
    shown = service.client.post(f"{RULES}/versions/1/revert", json={"version": 2}).json()
    assert (shown["version"], shown["source"], shown["content"]) == (3, "revert", DEFAULT)
    assert service.client.get(f"{RULES}/versions/9").status_code == 404
    audited = scalars(service, "SELECT action FROM audit WHERE subject = 'rules' ORDER BY id")
    assert audited == ["rules.api", "rules.revert"]


def test_a_broken_file_is_refused_loudly_and_a_mended_one_is_taken(
    service: Service, file: Path
) -> None:
    file.write_text(BROKEN, "utf-8")
    field, message = refusal(service.client.post(f"{RULES}/reload"), 422)
    assert str(field).endswith(".action")
    assert "第 1 版" in message
    assert service.client.get(RULES).json()["refused"]["version"] is None
    assert service.kefu.metrics.rules_refused._value.get() == 1
    file.write_text(WITH_GIFT, "utf-8")
    shown = service.client.post(f"{RULES}/reload").json()
    assert (shown["version"], shown["source"], shown["refused"]) == (2, "file", None)
    assert service.kefu.metrics.rules_refused._value.get() == 0


def test_a_dry_run_tells_what_new_rules_would_have_done_and_does_nothing(
    service: Service,
) -> None:
    service.ask("想买来送礼,我的电话13912345678", message_id="m1", chat_id="甲")
    service.ask("你好", message_id="m2", chat_id="乙")
    service.ask("我要投诉", message_id="m3", chat_id="丙")
    before = service.all_rows() | {"audit": 0}  # that an administrator looked is written
    *progress, result = dry_run(service, content=WITH_GIFT)
    assert [one["event"] for one in progress] == ["progress"] * len(progress)
    assert progress[-1]["read"] == progress[-1]["total"] == 3
    rules = {one["id"]: one for one in result["rules"]}
    gift = rules["gift"]
    assert (gift["fired"], gift["present"], gift["added"], gift["conversations"]) == (1, 0, 1, 1)
    assert gift["examples"][0]["change"] == "added"
    assert "13912345678" not in json.dumps(result, ensure_ascii=False)
    assert (rules["complaint_serious"]["fired"], rules["complaint_serious"]["added"]) == (1, 0)
    assert (result["turns"], result["handed_over"]["fired"], result["complete"]) == (3, 1, True)
    assert service.all_rows() | {"audit": 0} == before


def test_a_dry_run_is_bounded_and_of_one_channel(service: Service) -> None:
    for at in range(3):
        service.ask("你好", message_id=f"m{at}", chat_id=f"客{at}")
    *_, bounded = dry_run(service, limit=2)
    assert (bounded["messages"], bounded["complete"]) == (2, False)
    *_, none = dry_run(service, channel="wechat")
    assert (none["messages"], none["rules"]) == (0, [])


def test_of_messages_that_were_answered_together_a_dry_run_makes_one_turn(
    service: Service,
) -> None:
    service.ask("又充不进电了", message_id="m1", chat_id="甲")
    service.ask("太差了", message_id="m2", chat_id="甲")
    with service.kefu.engine.database.engine.begin() as connection:
        connection.execute(text("UPDATE messages SET turn_id = 'one' WHERE role = 'user'"))
    *_, result = dry_run(service)
    assert (result["messages"], result["turns"]) == (2, 1)
    assert "aftersale_repeated" in {one["id"] for one in result["rules"]}


@pytest.mark.parametrize(
    "asked",
    [
        {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
        {"since": "2020-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
        {"limit": 0},
        {"content": "rules: []"},
    ],
)
def test_a_dry_run_that_makes_no_sense_is_refused(service: Service, asked: dict[str, Any]) -> None:
    assert service.client.post(f"{RULES}/dry-run", json=asked).status_code == 422
