from hypothesis import given
from hypothesis import strategies as st

from tools.models.text import AnswerText, without_fence


def shown(pieces: list[str]) -> list[str]:
    answer = AnswerText()
    out = [answer.feed(piece) for piece in pieces] + [answer.finish()]
    assert "".join(out) == answer.text
    return [piece for piece in out if piece]


def test_pieces_pass_as_they_come() -> None:
    assert shown(["您好", ",请问", "有什么可以帮您?"]) == ["您好", ",请问", "有什么可以帮您?"]


def test_thoughts_are_dropped_however_they_are_cut() -> None:
    whole = "\n<think>the customer <b>wants</b> a refund</think>\n\n可以退款。"
    for at in range(len(whole)):
        assert "".join(shown([whole[:at], whole[at:]])) == "可以退款。"
    assert "".join(shown(list(whole))) == "可以退款。"


def test_thoughts_without_an_end_are_no_answer() -> None:
    assert shown(["<think>", "hm, hm", "</thi"]) == []


def test_an_answer_may_begin_like_a_thought() -> None:
    assert "".join(shown(["<", "th"])) == "<th"
    assert "".join(shown(["<3", " 谢谢"])) == "<3 谢谢"


def test_blank_edges_are_not_shown_but_inner_ones_are() -> None:
    assert "".join(shown(["\n ", "a ", " ", "\n", "b", "\n\n"])) == "a  \nb"
    assert shown([" ", "\n"]) == []


@given(st.lists(st.text(alphabet="a<think>/ \n好", max_size=6), max_size=8))
def test_how_a_text_is_cut_never_changes_what_is_shown(pieces: list[str]) -> None:
    assert "".join(shown(pieces)) == "".join(shown(["".join(pieces)]))


def test_json_comes_out_of_its_fence() -> None:
    assert without_fence('```json\n{"a": 1}\n```') == '{"a": 1}'
    assert without_fence('{"a": "```"}') == '{"a": "```"}'
