import asyncio
import base64
import json
import math
import time
from array import array

import anthropic
import httpx
import openai
import pytest

from sandbox.replies import DEFAULT_REPLY, Turn, count_tokens, example, grounded
from tests.sandbox_server import JsonObject, SandboxServer

AUTH = {"authorization": "Bearer sk-test"}
EVIDENCE = "请依据证据回答。\n[1] 充电桩质保两年。人为损坏除外。\n[2] 七天无理由退货。"


@pytest.fixture
def client(sandbox_server: SandboxServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=sandbox_server.model_url(), api_key="sk-test", max_retries=0)


@pytest.fixture
def claude(sandbox_server: SandboxServer) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        base_url=sandbox_server.anthropic_url("claude"), api_key="sk-test", max_retries=0
    )


def say(text: str) -> list[JsonObject]:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize(
    ("prompt", "reply"),
    [
        (EVIDENCE, "充电桩质保两年。[1]"),
        ("[1] 问题:质保多久? 答案:两年。", "两年。[1]"),
        ("[1] 质保多久?:两年。人为除外。", "两年。[1]"),
        ("[1] 质保时间:两年", "质保时间:两年[1]"),
        ("[3] 7kW 约 8 小时充满", "7kW 约 8 小时充满[3]"),
        ("见 [1] 与 [2]", None),
        ("没有证据", None),
    ],
)
def test_default_reply_is_the_first_sentence_of_the_first_evidence(
    prompt: str, reply: str | None
) -> None:
    assert grounded([Turn("system", prompt), Turn("user", "质保多久")]) == reply


def test_evidence_of_the_latest_turn_wins_and_earlier_answers_are_no_evidence() -> None:
    turns = [
        Turn("system", "[1] 旧证据。"),
        Turn("user", "[1] 新证据。\n问题:x"),
        Turn("assistant", "[1] 我说过的。"),
    ]
    assert grounded(turns) == "新证据。[1]"


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("你好", 2), ("hello wo", 2), ("a", 1), ("充电 7kW", 3)]
)
def test_tokens_are_counted_by_characters(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens


def test_example_fits_its_schema() -> None:
    schema = {
        "$defs": {"Kind": {"enum": ["price", "other"]}},
        "type": "object",
        "properties": {
            "reply": {"type": "string"},
            "kind": {"$ref": "#/$defs/Kind"},
            "score": {"anyOf": [{"type": "number", "minimum": 0.5}, {"type": "null"}]},
            "sure": {"type": "boolean"},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "note": {"type": "string", "default": "无"},
        },
    }
    assert example(schema, "好的") == {
        "reply": "好的",
        "kind": "price",
        "score": 0.5,
        "sure": False,
        "tags": [""],
        "note": "无",
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/nowhere"},
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
        {"type": "array", "items": {"$ref": "#"}, "minItems": 3},
        {"type": "array", "minItems": "many"},
        {"type": []},
        {"properties": 5},
        {"anyOf": 5},
        {"properties": {"a": 7}},
        {"type": "integer", "minimum": "x"},
        {"enum": 5},
    ],
)
def test_senseless_schema_gives_some_value(schema: JsonObject) -> None:
    json.dumps(example(schema, "x"))


def test_openai_client_gets_a_grounded_answer_with_usage(client: openai.OpenAI) -> None:
    with client:
        answer = client.chat.completions.create(
            model="deepseek-flash",
            messages=[
                {"role": "system", "content": EVIDENCE},
                {"role": "user", "content": "质保多久"},
            ],
        )
    assert answer.choices[0].message.content == "充电桩质保两年。[1]"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "deepseek-flash"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == count_tokens("充电桩质保两年。[1]")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_stream_says_the_same_in_pieces_with_usage_last(client: openai.OpenAI) -> None:
    with client:
        chunks = list(
            client.chat.completions.create(
                model="m",
                messages=[{"role": "user", "content": "你好"}],
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == DEFAULT_REPLY
    assert len(chunks) > 5
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == count_tokens(DEFAULT_REPLY)
    assert len({chunk.id for chunk in chunks}) == 1


def test_stream_without_the_option_has_no_usage(client: openai.OpenAI) -> None:
    with client:
        chunks = list(
            client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "你好"}], stream=True
            )
        )
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


@pytest.mark.parametrize("match", ["多少钱", "多少.?钱$", ""])
def test_script_matches_by_part_pattern_or_anything(
    sandbox_server: SandboxServer, client: openai.OpenAI, match: str
) -> None:
    sandbox_server.script(match, "二十元。")
    with client:
        answer = client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "修图多少钱"}]
        )
    assert answer.choices[0].message.content == "二十元。"


def test_script_looks_at_the_last_user_message_only(
    sandbox_server: SandboxServer, client: openai.OpenAI
) -> None:
    sandbox_server.script("退款", "好的,为您退款。")
    with client:
        answer = client.chat.completions.create(
            model="m",
            messages=[
                {"role": "user", "content": "退款"},
                {"role": "assistant", "content": "退款?"},
                {"role": "user", "content": [{"type": "text", "text": "不用了"}]},
            ],
        )
    assert answer.choices[0].message.content == DEFAULT_REPLY


def test_script_is_used_its_times_then_the_next_one(
    sandbox_server: SandboxServer, client: openai.OpenAI
) -> None:
    sandbox_server.script("价", "一", times=1)
    sandbox_server.script("价", "二", times=2)
    said = []
    with client:
        for _ in range(4):
            answer = client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "价"}]
            )
            said.append(answer.choices[0].message.content)
    assert said == ["一", "二", "二", DEFAULT_REPLY]


def test_script_for_one_provider_is_not_heard_from_another(sandbox_server: SandboxServer) -> None:
    sandbox_server.script("", "我是甲", peer="model/a")
    body = {"model": "m", "messages": say("你是谁")}
    said = [
        sandbox_server.client.post(
            f"{sandbox_server.model_url(name)}/chat/completions", json=body, headers=AUTH
        )
        for name in ("a", "b")
    ]
    texts = [answer.json()["choices"][0]["message"]["content"] for answer in said]
    assert texts == ["我是甲", DEFAULT_REPLY]


def test_invalid_pattern_still_matches_as_text(sandbox_server: SandboxServer) -> None:
    sandbox_server.script("价格(", "好")
    body = {"model": "m", "messages": say("问价格(含税)")}
    url = sandbox_server.model_url() + "/chat/completions"
    answer = sandbox_server.client.post(url, json=body, headers=AUTH)
    assert answer.json()["choices"][0]["message"]["content"] == "好"


@pytest.mark.parametrize("stream", [False, True])
def test_scripted_tool_calls_reach_the_client_whole(
    sandbox_server: SandboxServer, client: openai.OpenAI, stream: bool
) -> None:
    calls = [
        {"name": "quote", "arguments": {"width": 4000, "备注": "加急"}},
        {"name": "broken", "arguments": "{not json", "id": "call_x"},
    ]
    sandbox_server.script("报价", tool_calls=calls)
    got: dict[int, list[str]] = {}
    with client:
        if stream:
            finish = ""
            for chunk in client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "报价"}], stream=True
            ):
                finish = chunk.choices[0].finish_reason or finish
                for part in chunk.choices[0].delta.tool_calls or ():
                    assert part.function is not None
                    name, arguments = got.setdefault(part.index, ["", ""])
                    got[part.index] = [
                        name + (part.function.name or ""),
                        arguments + (part.function.arguments or ""),
                    ]
        else:
            answer = client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "报价"}]
            )
            finish = answer.choices[0].finish_reason
            assert answer.choices[0].message.content is None
            for index, call in enumerate(answer.choices[0].message.tool_calls or ()):
                assert call.type == "function"
                got[index] = [call.function.name, call.function.arguments]
    assert finish == "tool_calls"
    assert got[0][0] == "quote"
    assert json.loads(got[0][1]) == {"width": 4000, "备注": "加急"}
    assert got[1] == ["broken", "{not json"]


def test_forced_tool_is_called_with_arguments_that_fit(client: openai.OpenAI) -> None:
    schema: dict[str, object] = {
        "type": "object",
        "properties": {"intent": {"enum": ["price"]}},
    }
    with client:
        answer = client.chat.completions.create(
            model="m",
            messages=[{"role": "user", "content": "你好"}],
            tools=[{"type": "function", "function": {"name": "classify", "parameters": schema}}],
            tool_choice={"type": "function", "function": {"name": "classify"}},
        )
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert json.loads(call.function.arguments) == {"intent": "price"}


def test_json_mode_answers_with_an_object(client: openai.OpenAI) -> None:
    with client:
        answer = client.chat.completions.create(
            model="m",
            messages=[{"role": "user", "content": "用 json 回答\n[1] 两年。"}],
            response_format={"type": "json_object"},
        )
    assert json.loads(answer.choices[0].message.content or "") == {"reply": "两年。[1]"}


def test_answer_longer_than_max_tokens_is_cut(client: openai.OpenAI) -> None:
    with client:
        answer = client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "你好"}], max_tokens=3
        )
    assert answer.choices[0].message.content == DEFAULT_REPLY[:3]
    assert answer.choices[0].finish_reason == "length"


def test_embeddings_are_unit_vectors_near_for_like_texts(client: openai.OpenAI) -> None:
    texts = ["充电桩质保多久", "充电桩的质保是多久", "今天天气不错"]
    with client:
        answer = client.embeddings.create(model="e", input=texts, dimensions=256)
    first, like, unlike = (item.embedding for item in answer.data)
    assert len(first) == 256
    assert math.isclose(math.hypot(*first), 1.0, rel_tol=1e-5)
    near = sum(a * b for a, b in zip(first, like, strict=True))
    far = sum(a * b for a, b in zip(first, unlike, strict=True))
    assert near > 0.6 > 0.3 > far


def test_embedding_formats_hold_the_same_numbers(sandbox_server: SandboxServer) -> None:
    url = sandbox_server.model_url() + "/embeddings"
    body: JsonObject = {"model": "e", "input": [[1, 2, 3], [4]]}
    plain = sandbox_server.client.post(url, json=body, headers=AUTH).json()
    packed = sandbox_server.client.post(
        url, json=body | {"encoding_format": "base64"}, headers=AUTH
    ).json()
    decoded = array("f", base64.b64decode(packed["data"][1]["embedding"]))
    assert decoded.tolist() == pytest.approx(plain["data"][1]["embedding"])
    assert len(decoded) == 1024


@pytest.mark.parametrize("path", ["chat/completions", "embeddings", "models"])
@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer"}, {"authorization": "sk-x"}])
def test_without_a_bearer_key_the_answer_is_an_openai_401(
    sandbox_server: SandboxServer, path: str, header: dict[str, str]
) -> None:
    method = "GET" if path == "models" else "POST"
    answer = sandbox_server.client.request(
        method, f"{sandbox_server.model_url()}/{path}", headers=header
    )
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "authentication_error"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"[]", "object"),
        (b'{"messages": []}', "model"),
        (b'{"model": "m", "messages": []}', "messages"),
        (b'{"model": "m", "messages": [{"role": "boss", "content": "x"}]}', "messages.0.role"),
        (b'{"model": "m", "messages": [{"role": "user", "content": 5}]}', "content"),
        (b'{"model": "m", "messages": [{"role": "user"}], "max_tokens": 0}', "max_tokens"),
    ],
)
def test_senseless_request_is_an_openai_400_that_names_the_field(
    sandbox_server: SandboxServer, body: bytes, said: str
) -> None:
    url = sandbox_server.model_url() + "/chat/completions"
    answer = sandbox_server.client.post(url, content=body, headers=AUTH)
    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]


def test_latency_applies_to_all_or_one_provider_and_a_script_overrides_it(
    sandbox_server: SandboxServer,
) -> None:
    sandbox_server.model_latency(1.0)
    sandbox_server.model_latency(0.0, peer="model/fast")
    sandbox_server.script("立刻", "好", latency=0.0)

    def seconds(name: str | None, text: str) -> float:
        url = sandbox_server.model_url(name) + "/chat/completions"
        started = time.perf_counter()
        sandbox_server.client.post(url, json={"model": "m", "messages": say(text)}, headers=AUTH)
        return time.perf_counter() - started

    assert seconds(None, "你好") >= 1.0
    assert seconds("fast", "你好") < 1.0
    assert seconds(None, "立刻") < 1.0


def test_client_that_leaves_during_the_latency_frees_the_request(
    sandbox_server: SandboxServer,
) -> None:
    sandbox_server.model_latency(3600)
    url = sandbox_server.model_url() + "/chat/completions"
    with pytest.raises(httpx.ReadTimeout):
        sandbox_server.client.post(
            url, json={"model": "m", "messages": say("x")}, headers=AUTH, timeout=0.2
        )
    (entry,) = sandbox_server.journal("model", at_least=1, wait=5)
    assert entry["status"] == 499


async def test_two_hundred_streams_at_once_are_all_whole(sandbox_server: SandboxServer) -> None:
    sandbox_server.model_latency(0.1, per_chunk=0.01)
    url = sandbox_server.model_url() + "/chat/completions"
    body = {"model": "m", "messages": say("你好"), "stream": True}
    limits = httpx.Limits(max_connections=250)

    async with httpx.AsyncClient(headers=AUTH, limits=limits, timeout=60) as client:

        async def whole() -> bool:
            answer = await client.post(url, json=body)
            return answer.text.endswith("data: [DONE]\n\n") and answer.text.count("data:") > 5

        assert all(await asyncio.gather(*(whole() for _ in range(200))))
    assert len(sandbox_server.journal("model")) == 200


def test_anthropic_client_gets_text_and_usage(
    sandbox_server: SandboxServer, claude: anthropic.Anthropic
) -> None:
    with claude:
        answer = claude.messages.create(
            model="claude-haiku-5-5",
            max_tokens=100,
            system=EVIDENCE,
            messages=[{"role": "user", "content": "质保多久"}],
        )
    (block,) = answer.content
    assert block.type == "text"
    assert block.text == "充电桩质保两年。[1]"
    assert (answer.stop_reason, answer.usage.output_tokens) == (
        "end_turn",
        count_tokens(block.text),
    )
    (entry,) = sandbox_server.journal("model/claude")
    assert entry["kind"] == "messages"
    assert "sk-test" not in json.dumps(entry)


def test_anthropic_stream_builds_the_same_message(
    sandbox_server: SandboxServer, claude: anthropic.Anthropic
) -> None:
    sandbox_server.script(
        "报价", "稍等。", tool_calls=[{"name": "quote", "arguments": {"宽": 10}, "id": "tu_1"}]
    )
    with (
        claude,
        claude.messages.stream(
            model="c", max_tokens=100, messages=[{"role": "user", "content": "报价"}]
        ) as stream,
    ):
        answer = stream.get_final_message()
    text, tool = answer.content
    assert text.type == "text"
    assert text.text == "稍等。"
    assert tool.type == "tool_use"
    assert (tool.id, tool.name, tool.input) == ("tu_1", "quote", {"宽": 10})
    assert answer.stop_reason == "tool_use"


def test_anthropic_forced_tool_is_called(claude: anthropic.Anthropic) -> None:
    with claude:
        answer = claude.messages.create(
            model="c",
            max_tokens=100,
            messages=[{"role": "user", "content": "你好"}],
            tools=[
                {
                    "name": "classify",
                    "input_schema": {"type": "object", "properties": {"n": {"type": "integer"}}},
                }
            ],
            tool_choice={"type": "any"},
        )
    (tool,) = answer.content
    assert tool.type == "tool_use"
    assert tool.input == {"n": 0}


@pytest.mark.parametrize(
    ("status", "kind"), [(529, "overloaded_error"), (402, "billing_error"), (500, "api_error")]
)
def test_faults_of_the_native_surface_have_its_error_shape(
    sandbox_server: SandboxServer, claude: anthropic.Anthropic, status: int, kind: str
) -> None:
    sandbox_server.fault("model/claude", "status", status=status)
    with claude, pytest.raises(anthropic.APIStatusError) as caught:
        claude.messages.create(
            model="c", max_tokens=1, messages=[{"role": "user", "content": "你好"}]
        )
    assert caught.value.status_code == status
    body = caught.value.response.json()
    assert (body["type"], body["error"]["type"]) == ("error", kind)


@pytest.mark.parametrize(
    ("headers", "body", "status", "kind"),
    [
        ({}, {}, 401, "authentication_error"),
        ({"x-api-key": "k"}, {}, 400, "invalid_request_error"),
        ({"x-api-key": "k", "anthropic-version": "2023-06-01"}, {}, 400, "invalid_request_error"),
    ],
)
def test_senseless_native_request_is_refused_in_its_shape(
    sandbox_server: SandboxServer,
    headers: dict[str, str],
    body: JsonObject,
    status: int,
    kind: str,
) -> None:
    url = sandbox_server.anthropic_url("c") + "/v1/messages"
    answer = sandbox_server.client.post(url, json=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
    assert answer.headers["request-id"] == answer.json()["request_id"]


def test_script_with_an_unknown_field_is_refused(sandbox_server: SandboxServer) -> None:
    url = sandbox_server.url + "/_sandbox/model/script"
    answer = sandbox_server.client.post(url, json={"match": "x", "replly": "y"})
    assert (answer.status_code, answer.json()["detail"].split(":")[0]) == (422, "replly")


def seen(picture: bytes, media_type: str = "image/jpeg") -> list[JsonObject]:
    url = f"data:{media_type};base64,{base64.b64encode(picture).decode()}"
    parts = [
        {"type": "text", "text": "描述这张图片"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    return [{"role": "user", "content": parts}]


def test_the_same_picture_is_described_in_the_same_words(sandbox_server: SandboxServer) -> None:
    url = f"{sandbox_server.model_url()}/chat/completions"
    said = []
    for picture in (b"\xff\xd8\xff one", b"\xff\xd8\xff one", b"\xff\xd8\xff two"):
        body = {"model": "sandbox-vision", "messages": seen(picture)}
        answer = httpx.post(url, json=body, headers=AUTH).json()
        said.append(answer["choices"][0]["message"]["content"])
    assert said[0] == said[1] != said[2]
    assert said[0].startswith("模拟描述:一张jpeg图片")


@pytest.mark.parametrize(
    ("picture", "media_type"), [(b"no picture", "image/jpeg"), (b"\xff\xd8\xff", "text/html")]
)
def test_what_is_no_picture_is_refused_as_providers_do(
    sandbox_server: SandboxServer, picture: bytes, media_type: str
) -> None:
    body = {"model": "sandbox-vision", "messages": seen(picture, media_type)}
    url = f"{sandbox_server.model_url()}/chat/completions"
    response = httpx.post(url, json=body, headers=AUTH)
    assert response.status_code == 400
    assert "image_url" in response.json()["error"]["message"]
