"""Estimates stand beside counts that the vendors' own documents or tokenizers give."""

import pytest

from tools.models.calls import ChatMessage
from tools.models.tokens import count, estimate_tokens


@pytest.mark.parametrize(
    ("text", "lowest", "highest"),
    [
        ("", 0, 0),
        ("  \n\t ", 0, 0),
        # OpenAI's documentation: about 0.75 words a token; cl100k counts 10 here.
        ("The quick brown fox jumps over the lazy dog.", 8, 13),
        # 22 characters with punctuation; Qwen and DeepSeek count 0.55-0.67 a character.
        ("您好,请问这款充电桩支持家用220V电压吗?", 11, 20),
        ("订单号 20261120123456 已发货", 7, 14),
        ("👍👍👍", 3, 9),
    ],
)
def test_an_estimate_lies_near_the_vendors_counts(text: str, lowest: int, highest: int) -> None:
    assert lowest <= estimate_tokens(text) <= highest


def test_estimates_grow_with_the_text() -> None:
    sentence = "这件衣服有蓝色的吗,尺码 XL。"
    once, many = estimate_tokens(sentence), estimate_tokens(sentence * 50)
    assert 45 * once <= many <= 50 * once


def test_a_request_costs_more_than_its_texts() -> None:
    messages = [ChatMessage("system", "你是客服"), ChatMessage("user", "在吗")]
    texts = sum(estimate_tokens(message.content) for message in messages)
    assert texts < count(messages) <= texts + 15
