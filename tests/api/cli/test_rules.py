"""`kefu rules`: the rules of a running service, a file on its own, and a dry run."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.cli.main import cli
from domain.errors import ConfigurationError, PeerUnavailable
from engine.rules.build import default_rules
from tests.api.service import Service, running_service

DEFAULT = default_rules()
WITH_GIFT = (
    DEFAULT.rstrip()
    + """
  - {id: gift, name: "送礼[客户]", when: {text: {words: [送礼]}}, then: [{handoff: high}]}
"""
)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["rules", *arguments])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(DEFAULT, "utf-8")
    return path


@pytest.fixture
def service(file: Path, tmp_path: Path) -> Iterator[Service]:
    with running_service(tmp_path / "data", rules_file=file) as running:
        yield running


def test_the_rules_in_use_are_shown_and_reloaded(service: Service, file: Path) -> None:
    assert "presale_bulk" in run("show", "--url", service.url).stdout
    file.write_text(WITH_GIFT, "utf-8")
    reloaded = json.loads(run("reload", "--json", "--url", service.url).stdout)
    assert reloaded["version"] == 2
    file.write_text(DEFAULT.replace("action: flag", "action: shout"), "utf-8")
    refused = run("reload", "--url", service.url)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "第 2 版" in refused.stderr
    assert "不能使用" in run("show", "--url", service.url).stdout


def test_a_dry_run_shows_what_a_file_would_have_done(service: Service, tmp_path: Path) -> None:
    service.ask("送礼的话有礼盒吗", message_id="m1", chat_id="甲")
    tried = tmp_path / "tried.yaml"
    tried.write_text(WITH_GIFT, "utf-8")
    shown = run("dry-run", str(tried), "--days", "1", "--url", service.url)
    assert shown.exit_code == 0, shown.output
    assert "+ gift: 送礼的话有礼盒吗" in shown.stdout
    assert "已读 1/1 条消息" in shown.stderr
    found = json.loads(run("dry-run", "--json", "--url", service.url).stdout)
    assert (found["event"], found["turns"]) == ("result", 1)
    tried.write_text("rules: []", "utf-8")
    assert run("dry-run", str(tried), "--url", service.url).exit_code == 1


def test_a_file_is_checked_without_a_service(file: Path) -> None:
    assert "可以使用" in run("check", str(file)).stdout
    file.write_text(DEFAULT.replace("- tool: notify_staff", "- tool: nothing"), "utf-8")
    assert isinstance(run("check", str(file)).exception, ConfigurationError)


def test_a_service_that_is_away_is_said(file: Path) -> None:
    result = run("dry-run", "--url", "http://127.0.0.1:9")
    assert isinstance(result.exception, PeerUnavailable)
