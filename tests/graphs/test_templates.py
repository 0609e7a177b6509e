"""Templates: what is shipped is complete, what an operator writes is checked, values are data."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import ConfigurationError
from graphs.templates import NAMES, Templates

_SHIPPED = Path(__file__).parents[2] / "engine" / "defaults" / "templates.yaml"
SHIPPED = Templates.parse(_SHIPPED.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_wording_renders_chinese_without_leftover_braces(name: str) -> None:
    fields = {field: f"<{field}>" for field in NAMES[name].known}
    for seed in map(str, range(20)):
        said = SHIPPED.render(name, seed=seed, **fields)
        assert not {"{", "}"} & set(said)
        assert all(f"<{field}>" in said for field in NAMES[name].required)
        assert name == "answer" or any("\u4e00" <= sign <= "\u9fff" for sign in said)


def test_the_sentence_for_every_failure_needs_nothing() -> None:
    assert SHIPPED.render("default_sentence") == SHIPPED.render("default_sentence", seed="")


def test_a_quote_reads_as_a_customer_expects_it() -> None:
    said = SHIPPED.render(
        "quote",
        service="高清修复",
        items="基础价:60 元\n文字加价:20 元",
        total="80元",
        valid_hours=24,
    )
    assert said == (
        "高清修复的报价如下：\n基础价:60 元\n文字加价:20 元\n合计：80元\n"
        "报价 24 小时内有效，确认的话回复「好的」就可以为您安排～"
    )


@given(st.text())
def test_a_value_goes_in_as_it_is(text: str) -> None:
    assert SHIPPED.render("answer", answer=text) == text


@pytest.mark.parametrize("text", ["{answer}", "{", "}}", "{0}", "{answer.__class__}", "%s {x!r}"])
def test_braces_in_a_value_mean_nothing(text: str) -> None:
    assert SHIPPED.render("answer", answer=text) == text


def test_the_same_seed_says_the_same_and_every_wording_is_used() -> None:
    wordings = Templates.parse("greeting: [甲, 乙, 丙]", SHIPPED)
    said = [wordings.render("greeting", seed=f"t_{number}") for number in range(60)]
    assert said == [wordings.render("greeting", seed=f"t_{number}") for number in range(60)]
    assert set(said) == {"甲", "乙", "丙"}


def test_the_choice_is_the_same_in_every_process() -> None:
    wordings = Templates.parse("greeting: [甲, 乙, 丙]", SHIPPED)
    # blake2b-32 of the seed modulo 3; hash() would differ from run to run
    assert [wordings.render("greeting", seed=seed) for seed in "abcd"] == ["丙", "丙", "乙", "丙"]


def test_a_file_of_the_operator_keeps_the_defaults_that_it_leaves_out() -> None:
    changed = Templates.parse("thanks: 谢谢惠顾", SHIPPED)
    assert changed.render("thanks", seed="x") == "谢谢惠顾"
    assert changed.wordings["quote"] == SHIPPED.wordings["quote"]


def test_an_empty_file_changes_nothing() -> None:
    assert Templates.parse("# nothing yet\n", SHIPPED) == SHIPPED


def test_a_doubled_brace_is_a_brace() -> None:
    assert Templates.parse("thanks: 谢谢 {{^_^}}", SHIPPED).render("thanks") == "谢谢 {^_^}"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("quote: 一共 {total} 元", "lacks the placeholder 'items'"),
        ("clarify_one: ['您问的是 {question} 吗', 请说清楚]", "wording 2 of 'clarify_one' lacks"),
        ("thanks: 谢谢 {name}", "unknown placeholder 'name'"),
        ("thanks: 谢谢 {", "stray brace"),
        ("answer: '{answer.__class__}'", "unusable placeholder"),
        ("answer: '{answer[0]}'", "unusable placeholder"),
        ("answer: '{answer!r}'", "unusable placeholder"),
        ("answer: '{answer:>99}'", "unusable placeholder"),
        ("answer: '{}'", "unusable placeholder"),
        ("thankyou: 谢谢", "'thankyou' is unknown"),
        ("thanks: ''", "'thanks' is not usable"),
        ("thanks: []", "'thanks' is not usable"),
        ("thanks: [好, '  ']", "'thanks' is not usable"),
        ("thanks: 3", "'thanks' is not usable"),
        ("thanks: {a: b}", "'thanks' is not usable"),
        (f"thanks: {'好' * 2001}", "'thanks' is not usable"),
        ("- thanks", "'the file' is not usable"),
        ("thanks: [好", "is no YAML at line 1"),
        ("!!python/object/apply:os.getcwd []", "is no YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_one_line_that_says_where(text: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Templates.parse(text, SHIPPED)
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.variable == "KEFU_TEMPLATES_FILE"


def test_without_defaults_every_name_is_needed() -> None:
    shipped = yaml.safe_load(_SHIPPED.read_text(encoding="utf-8"))
    del shipped["pending"]
    with pytest.raises(ConfigurationError, match="'pending' is missing"):
        Templates.parse(yaml.safe_dump(shipped, allow_unicode=True))


def test_fields_that_do_not_fit_are_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match=r"missing \['question'\]"):
        SHIPPED.render("clarify_one")
    with pytest.raises(ValueError, match=r"unknown \['name'\]"):
        SHIPPED.render("greeting", name="小明")
    with pytest.raises(KeyError):
        SHIPPED.render("no_such_template")


def test_an_optional_field_may_be_left_out() -> None:
    said = SHIPPED.render("notice_text", customer="小明", question="我要投诉!", reason="投诉")
    assert "用户:小明" in said
    assert "时间:\n" in said
