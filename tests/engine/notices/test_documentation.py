"""docs/notices.md says what is so."""

import re
from pathlib import Path

import pytest

from engine.notices import PACES, PATIENCE_S
from engine.settings import NoticeSettings, describe_settings
from tests.sandbox_server import SandboxServer
from tools.notify.targets import KINDS, parse_targets

GUIDE = (Path(__file__).parents[3] / "docs" / "notices.md").read_text("utf-8")
CALL = re.compile(r"^(GET|PUT|POST) (\S+) ?(.*)$", re.MULTILINE)
ROW = re.compile(r"^\| `([a-z]+)[^|]*?(?:\\\|[^|]*)?\|[^|]*\| ([^|]*) \|", re.MULTILINE)


def test_the_example_of_the_setting_can_be_read() -> None:
    (example,) = re.findall(r"^NOTIFICATION_CHANNEL=(\S+)$", GUIDE, re.MULTILINE)
    assert [target.kind for target in parse_targets(example)] == [
        "telegram",
        "feishu",
        "dingtalk",
        "mail",
        "wecom",
    ]


def test_every_kind_of_place_is_there_with_its_pace() -> None:
    rows = dict(ROW.findall(GUIDE))
    assert set(rows) == set(KINDS)
    for kind, paces in PACES.items():
        words = {1.0: "a second", 60.0: "a minute"}
        for pace in paces:
            assert f"{pace.most} {words[pace.seconds]}" in rows[kind]
    assert PATIENCE_S == 2 * 3_600
    assert "for two hours" in GUIDE


@pytest.mark.parametrize(
    "name",
    [
        alias
        for doc in describe_settings()
        for alias in doc.aliases[:1]
        if any(
            str(choice) == doc.name
            for field in NoticeSettings.model_fields.values()
            for choice in getattr(field.validation_alias, "choices", ())
        )
    ],
)
def test_every_setting_is_named(name: str) -> None:
    assert name in GUIDE


def test_every_call_to_the_sandbox_works_as_it_stands(sandbox_server: SandboxServer) -> None:
    calls = CALL.findall(GUIDE)
    assert len(calls) > 15
    headers = {"content-type": "application/json"}
    for method, path, body in calls:
        url = f"{sandbox_server.url}/_sandbox/{path}"
        answer = sandbox_server.client.request(
            method, url, content=body.encode() or None, headers=headers
        )
        assert answer.is_success, f"{method} {path} {body}: {answer.status_code} {answer.text}"
