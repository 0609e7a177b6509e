"""Scripts are played through the real graph, each as a customer of its own, and nothing leaves."""

import shutil
from pathlib import Path

import pytest

from domain.errors import KnowledgeError
from engine.regressions.replay import Report
from engine.regressions.stage import replaying_alone
from engine.settings import Settings, load_settings
from tests.engine.regressions.conftest import Play
from tests.evaluation.test_conversations import FOLDER

RIGHT = """
turns:
  - say: 充电桩怎么安装？
    expect: {decision: answer, contains: 固定车位证明, evidence: charging_pile.md}
"""


def test_a_conversation_that_goes_as_expected_passes(play: Play) -> None:
    (played,) = play(RIGHT)
    assert played.passed
    assert played.turns[0].answer["nodes"] == ["classify", "retrieve", "risk_check", "reply"]


def test_one_that_does_not_fails_at_its_turn_and_is_played_to_its_end(play: Play) -> None:
    (played,) = play(f"{RIGHT}  - say: 谢谢\n    expect: {{decision: quote}}\n  - say: 你好\n")
    assert not played.passed
    assert [bool(turn.failures) for turn in played.turns] == [False, True, False]
    assert played.turns[1].line == 5
    assert played.turns[1].failures[0].sentence == "decision 应为 quote，实际是 chat"


def test_a_turn_knows_those_before_it(play: Play) -> None:
    talk = """
turns:
  - say: 设计1个logo多少钱
    expect: {quote: 300}
  - say: 好的
    expect: {handoff: order_confirmed}
---
turns:
  - say: 好的
    expect: {handoff: 无, decision: chat}
"""
    assert [one.passed for one in play(talk)] == [True, True]


def test_conversations_know_nothing_of_each_other(play: Play) -> None:
    alone = "turns:\n  - say: 好的\n    expect: {decision: chat}\n"
    first, second = play(
        f"turns:\n  - say: 设计1个logo多少钱\n    expect: {{quote: 300}}\n---\n{alone}"
    )
    assert (first.passed, second.passed) == (True, True)


def test_the_customers_facts_count(play: Play) -> None:
    said = "turns:\n  - say: 设计1个logo多少钱\n    expect: {quote: 300}\n"
    gray, white = play(f"{said}---\ncustomer: {{level: white}}\n{said}")
    assert gray.passed
    assert white.turns[0].failures[0].sentence == "quote 应为 300 元，实际是 285 元（logo设计）"
    (black,) = play(
        f"customer: {{level: black}}\n{said.replace('quote: 300', 'handoff: blacklist')}"
    )
    assert black.passed


def test_after_a_hand_over_the_conversation_waits_for_a_person(play: Play) -> None:
    talk = """
turns:
  - say: 我要投诉你们！
    expect: {handoff: complaint}
  - say: 我要投诉你们！
    expect: {handoff: 无}
"""
    (played,) = play(talk)
    assert played.passed


def test_a_quote_that_waits_goes_on_with_the_scripts_word(play: Play) -> None:
    talk = """
turns:
  - say: 设计2个logo多少钱
    expect: {decision: approval, quote: 无}
  - approve: WORD
    expect: {decision: quote, quote: 600, contains: 600元}
"""
    approved, edited, refused = (
        play(talk.replace("WORD", word).replace("600", total))[0]
        for word, total in (("是", "600"), ("550 元", "550"), ("no", "600"))
    )
    assert approved.passed
    assert edited.passed
    assert edited.turns[1].said == "（审批：550.0）"
    assert refused.turns[1].answer["risk"]["reasons"] == ["approval_rejected"]
    assert refused.turns[1].failures[0].sentence == "decision 应为 quote，实际是 handoff"


def test_a_word_where_no_quote_waits_is_told_and_fails(play: Play) -> None:
    (played,) = play("turns:\n  - say: 你好\n  - approve: yes\n    expect: {decision: quote}\n")
    assert not played.passed
    assert "没有等待审批的报价" in played.error
    assert len(played.turns) == 1


def test_pictures_beside_the_script_are_looked_at(play: Play, tmp_path: Path) -> None:
    shutil.copy(FOLDER / "bag.png", tmp_path / "包.png")
    (played,) = play(
        "turns:\n  - say: 抠图\n    images: 包.png\n    expect: {passes: look, quote: 8}\n"
    )
    assert played.passed
    assert played.error == ""


@pytest.mark.parametrize(
    ("image", "told"),
    [("no.png", "没有这个文件"), ("../x.png", "只能是剧本所在文件夹里的文件")],
)
def test_a_picture_that_cannot_be_shown_is_told_and_fails(
    play: Play, image: str, told: str
) -> None:
    (played,) = play(f"turns:\n  - images: {image}\n    expect: {{decision: quote}}\n")
    assert not played.passed
    assert told in played.error


def test_the_report_counts_and_shows_what_can_be_expected(play: Play) -> None:
    played = play(f"{RIGHT}---\n{RIGHT.replace('answer', 'quote')}")
    report = Report(played, 1.23456).as_json()
    assert {
        key: report[key] for key in ("conversations", "passed", "failed", "turns", "seconds")
    } == {
        "conversations": 2,
        "passed": 1,
        "failed": 1,
        "turns": 2,
        "seconds": 1.235,
    }
    (turn,) = report["results"][1]["turns"]
    assert turn["failures"] == [{"check": "decision", "wanted": "quote", "got": "answer"}]
    assert (turn["answer"]["decision"], turn["answer"]["quote"]) == ("answer", None)
    assert turn["answer"]["evidence"][0]["source"] == "charging_pile.md#安装"


async def test_without_knowledge_there_is_nothing_to_ask(tmp_path: Path) -> None:
    settings = load_settings(env_files=None, data_dir=tmp_path / "none", database_url=None)
    with pytest.raises(KnowledgeError, match="没有可用的知识"):
        async with replaying_alone(settings):
            pytest.fail("nothing is known here")


def test_the_data_folder_is_only_read(play: Play, settings: Settings) -> None:
    def stamps() -> dict[str, int]:
        files = settings.data_dir.rglob("*")
        return {
            str(one): one.stat().st_mtime_ns
            for one in files
            if one.is_file() and not one.name.endswith(("-shm", "-wal"))
        }

    before = stamps()
    play(RIGHT)
    assert stamps() == before
