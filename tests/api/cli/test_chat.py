"""`kefu chat`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.errors import ConfigurationError
from tests.api.cli.conftest import Command
from tests.api.cli.processes import run_kefu
from tests.api.service import Service, running_service

INSTALL = "充电桩怎么安装？"


@pytest.fixture(scope="module")
def guarded_service(
    tmp_path_factory: pytest.TempPathFactory, knowledge_folder: Path
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("guarded")
    key = "the-key-of-this-service"
    with running_service(folder, knowledge=knowledge_folder, api_key=key) as running:
        yield running


def beside(service: Service, monkeypatch: pytest.MonkeyPatch, key: str | None = None) -> Command:
    """`kefu` on the data folder and at the address of a running service."""
    monkeypatch.setenv("KEFU_PUBLIC_URL", service.url)
    if key is not None:
        monkeypatch.setenv("KEFU_API_KEY", key)
    return Command(service.kefu.settings.data_dir)


def test_once_prints_the_answer_and_nothing_else(filled: Command) -> None:
    ended = run_kefu("chat", "--once", INSTALL, "--data-dir", str(filled.data_dir))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("1. 准备固定车位证明")
    assert ended.stdout.endswith("请勿自行接线。\n")


def test_json_is_the_engines_whole_answer(filled: Command) -> None:
    answer = filled.json("chat", "--once", INSTALL)
    assert answer["action"] == "reply"
    assert answer["nodes"] == ["classify", "retrieve", "risk_check", "reply"]
    assert answer["evidence"][0]["source"] == "charging_pile.md#安装"


def test_explain_shows_nodes_with_their_time_evidence_quote_and_reasons(filled: Command) -> None:
    said = filled.done("chat", "--once", "抠图多少钱", "--explain")
    assert "price_estimate" in said
    assert " ms" in said
    assert "风控  accept:quoted" in said
    assert "image_design.md#抠图与背景" in said
    assert "报价  合计 8.00 元" in said


def test_a_piped_talk_is_one_conversation_that_ends_with_its_input(filled: Command) -> None:
    ended = filled("chat", "--explain", said="你好\n\n充电桩多少钱一台？\n")
    assert ended.exit_code == 0
    assert "7kW 998 元起" in ended.stdout
    assert ended.stdout.count("经过") == 2


def test_exit_ends_the_talk_and_what_follows_is_not_said(filled: Command) -> None:
    ended = filled("chat", "--explain", said="你好\nEXIT\n充电桩多少钱一台？\n")
    assert ended.exit_code == 0
    assert ended.stdout.count("经过") == 1


def test_customers_are_told_apart(shared_service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    kefu = beside(shared_service, monkeypatch)
    first, again, other = (
        kefu.json("chat", "--once", "你好", "--customer", name)["conversation_id"]
        for name in ("anna", "anna", "bert")
    )
    assert first == again != other


@pytest.mark.parametrize("text", ["", "  ", "长" * 4001])
def test_text_that_the_service_would_refuse_is_refused_here(kefu: Command, text: str) -> None:
    ended = kefu("chat", "--once", text)
    assert ended.exit_code == 2
    assert "--once" in ended.stderr
    assert not kefu.data_dir.exists()


def test_beside_a_running_service_that_one_answers(
    shared_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = shared_service.rows("messages")
    ended = beside(shared_service, monkeypatch)("chat", "--once", INSTALL)
    assert ended.exit_code == 0
    assert "勘测" in ended.stdout
    assert shared_service.url in ended.stderr
    assert shared_service.rows("messages") == before + 2


def test_both_ways_lead_to_the_same_conversation(
    filled: Command, shared_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = filled.json("chat", "--once", "你好")
    there = beside(shared_service, monkeypatch).json("chat", "--once", "你好")
    assert here["conversation_id"] == there["conversation_id"]


def test_the_running_service_gets_its_key(
    guarded_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    kefu = beside(guarded_service, monkeypatch, "the-key-of-this-service")
    assert "勘测" in kefu.done("chat", "--once", INSTALL)


def test_a_wrong_key_is_named_and_not_shown(
    guarded_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = beside(guarded_service, monkeypatch, "quite-another-key")("chat", "--once", INSTALL)
    assert isinstance(ended.exception, ConfigurationError)
    assert ended.exception.variable == "KEFU_API_KEY"
    assert "quite-another-key" not in str(ended.exception)


def test_a_folder_in_use_without_a_service_to_ask_ends_in_one_line(
    shared_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEFU_PUBLIC_URL", "http://127.0.0.1:1")
    folder = str(shared_service.kefu.settings.data_dir)
    ended = run_kefu("chat", "--once", "你好", "--data-dir", folder)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "in use by process" in ended.stderr
