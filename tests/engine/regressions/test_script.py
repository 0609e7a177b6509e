"""Scripts are pleasant to write, and a fault is named with its file and line."""

from pathlib import Path

import pytest

from engine.regressions.lines import MAX_BYTES, ScriptError
from engine.regressions.script import (
    Customer,
    Expect,
    ReadScript,
    Script,
    Step,
    read_scripts,
    script_files,
    scripts_of,
    written,
)

WHOLE = """\
# what a person wrote
name: 报价
note: 老客户
source: webhook:shop
customer:
  name: 王女士
  level: white
  score: 80
turns:
  - say: 你好
  - say:
      - 设计1个logo
      - 多少钱
    images: logo.png
    expect:
      decision: [quote, clarify]
      intent: price
      contains: logo设计
      absent: [人工, 投诉]
      evidence: k_1
      min_confidence: 0.75
      quote: 285 元
      handoff: 无
      passes: price_estimate
  - approve: 是
  - approve: 550元
"""


def read(text: str | bytes) -> list[ReadScript]:
    data = text if isinstance(text, bytes) else text.encode()
    return scripts_of("a.yaml", data, Path())


def refused(text: str | bytes) -> ScriptError:
    with pytest.raises(ScriptError) as caught:
        read(text)
    assert str(caught.value).startswith(f"a.yaml:{caught.value.line}: ")
    return caught.value


def test_everything_that_can_be_written_is_read() -> None:
    (found,) = read(WHOLE)
    assert (found.name, found.line, found.lines) == ("报价", 2, (10, 11, 25, 26))
    assert found.script == Script(
        name="报价",
        note="老客户",
        source="webhook:shop",
        customer=Customer(name="王女士", level="white", score=80),
        turns=(
            Step(say=("你好",)),
            Step(
                say=("设计1个logo", "多少钱"),
                images=("logo.png",),
                expect=Expect(
                    decision=("quote", "clarify"),
                    intent=("price",),
                    contains=("logo设计",),
                    absent=("人工", "投诉"),
                    evidence=("k_1",),
                    min_confidence=0.75,
                    quote=285.0,
                    handoff="no",
                    passes=("price_estimate",),
                ),
            ),
            Step(approve="yes"),
            Step(approve=550.0),
        ),
    )
    assert found.script.turns[1].text == "设计1个logo\n多少钱"


def test_what_is_written_out_reads_the_same_and_as_a_person_would_write_it() -> None:
    (found,) = read(WHOLE)
    text = written(found.script, comment="第一行\n第二行")
    assert text.startswith("# 第一行\n# 第二行\nname: 报价\n")
    assert "      decision:\n        - quote\n        - clarify\n" in text
    assert "      intent: price\n" in text
    assert "      quote: 285\n      handoff: 无\n" in text
    assert "  - approve: 是\n  - approve: 550\n" in text
    assert read(text)[0].script == found.script


@pytest.mark.parametrize("said", ["1", "yes", "no", "2026-11-21", "3.50", "null", "~", "0x10"])
def test_a_customers_words_stay_what_was_written(said: str) -> None:
    (found,) = read(f"turns:\n  - say: {said}\n    expect: {{contains: {said}}}\n")
    expect = found.script.turns[0].expect
    assert found.script.turns[0].text == said
    assert expect is not None
    assert expect.contains == (said,)


def test_words_of_several_lines_stay_lines() -> None:
    script = Script(turns=(Step(say=("第一行\n第二行: #",), expect=Expect(decision=("answer",))),))
    text = written(script)
    assert "say: |-\n" in text
    assert read(text)[0].script == script


def test_a_file_may_hold_several_conversations() -> None:
    one = "name: 一\nturns:\n  - say: a\n    expect: {decision: chat}\n"
    first, second = read(f"{one}---\n{one.replace('一', '二')}")
    assert (first.name, second.name, second.line, second.lines) == ("一", "二", 6, (8,))


def test_a_conversation_without_a_name_has_its_files() -> None:
    (found,) = read("turns:\n  - say: a\n    expect: {decision: chat}\n")
    assert found.name == "a"


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("turns:\n- say: a\n  expect:\n    decison: x\n", 4, "没有这个字段；可以写 decision、"),
        ("turns:\n- say: a\n  sya: b\n", 3, "没有这个字段；可以写 say、images、approve、expect"),
        ("naem: a\nturns: []\n", 1, "可以写 name、note、source、customer、turns"),
        ("turns:\n- say: a\n  expect:\n    quote: abc\n", 4, "应为以元为单位的数字，或 no"),
        ("turns:\n- say: a\n  expect:\n    intent: [price, x]\n", 4, "intent[1]：应为 greeting、"),
        ("turns:\n- say: a\n  expect:\n    min_confidence: 2\n", 4, "不能大于 1"),
        ("turns:\n- say: a\n  expect:\n    min_confidence: 高\n", 4, "应为数字"),
        ("turns:\n- say: a\n  expect:\n    contains: [b, '']\n", 4, "contains[1]：不能为空"),
        ("turns:\n- say: a\n  expect:\n", 3, "应为缩进的字段"),
        ("turns:\n- say: a\n  expect: {}\n", 3, "没有写任何期望"),
        ("turns:\n- say: a\n", 1, "没有一轮写了 expect"),
        ("turns: []\n", 1, "turns：不能为空"),
        ("turns: x\n", 1, "turns：应为列表"),
        ("name: x\n", 1, "turns：缺少这一项"),
        ("turns:\n- expect: {decision: a}\n", 2, "每一轮都要有 say 或 images"),
        ("turns:\n- approve: maybe\n", 2, "应为以元为单位的数字，或 yes、no"),
        ("turns:\n- {say: a, approve: yes}\n", 2, "approve 单独作一轮"),
        ("turns:\n- say: [a, {b: c}]\n  expect: {contains: a}\n", 2, "say[1]：应为文字"),
        ("customer:\n  level: gold\nturns: []\n", 2, "应为 white、gray、black 之一"),
        ("turns:\n- say: a\n  say: b\n", 3, "'say' 写了两次"),
        ("- a\n", 1, "应以 turns: 开头"),
        ("", 1, "文件是空的"),
        ("# only a comment\n", 1, "文件是空的"),
        ("a: [\n", 2, "不是正确的 YAML"),
        ("a: b\n\tc: d\n", 2, "不是正确的 YAML"),
        ("a: &x [1]\nb: *x\n", 1, "不能使用 YAML 的锚点和引用"),
        ("? [a]\n: b\n", 1, "字段名应为文字"),
        (b"turns:\n- say: \xff\n", 2, "不是 UTF-8"),
        ("[" * 5_000, 1, "嵌套太深"),
        ("a: " + "[" * 20 + "]" * 20, 1, "嵌套太深"),
        ("x" * (MAX_BYTES + 1), 1, "文件超过 1024 KB"),
        ("name: a\n---\nname: b\n", 1, "turns：缺少这一项"),
    ],
)
def test_a_fault_is_told_with_its_line(text: str | bytes, line: int, told: str) -> None:
    error = refused(text)
    assert error.line == line
    assert told in error.reason


def test_the_fault_of_a_later_conversation_has_its_own_line() -> None:
    good = "turns:\n  - say: a\n    expect: {decision: chat}\n"
    assert refused(f"{good}---\nturns:\n  - say: a\n    expect: {{decison: b}}\n").line == 7


def test_folders_give_their_files_in_order_and_each_once(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/z.yml", "a.yaml", "note.txt"):
        (tmp_path / name).write_text("x", "utf-8")
    found = script_files([tmp_path / "b" / "z.yml", tmp_path])
    assert [one.name for one in found] == ["z.yml", "a.yaml"]


def test_a_path_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="没有这个文件或文件夹"):
        script_files([tmp_path / "no.yaml"])
    with pytest.raises(ScriptError, match=r"文件夹里没有 \.yaml 文件"):
        script_files([tmp_path])


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="读不了"):
        read_scripts(tmp_path)
