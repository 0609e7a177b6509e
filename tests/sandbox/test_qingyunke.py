"""The simulated Qingyunke speaks as the real one does."""

from tests.sandbox_server import SandboxServer


def test_it_answers_json_that_says_it_is_text(sandbox_server: SandboxServer) -> None:
    query = {"key": "free", "appid": "0", "msg": "今天天气怎么样"}
    response = sandbox_server.client.get("/qingyunke/api.php", params=query)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.json() == {"result": 0, "content": "适合出门走走呢{face:1}"}


def test_its_answers_can_be_scripted_and_what_it_heard_be_read(
    sandbox_server: SandboxServer,
) -> None:
    sandbox_server.put("/_sandbox/qingyunke/answers", {"answers": ["甲", "乙"]})
    said = [
        sandbox_server.get("/qingyunke/api.php", key="free", appid="0", msg=f"第{n}句")["content"]
        for n in "一二"
    ]
    assert said == ["甲", "乙"]
    assert sandbox_server.get("/_sandbox/qingyunke/asked") == {"asked": ["第一句", "第二句"]}


def test_without_words_or_with_another_key_it_refuses(sandbox_server: SandboxServer) -> None:
    for query in ({"key": "free", "msg": ""}, {"key": "mine", "msg": "在吗"}):
        answer = sandbox_server.get("/qingyunke/api.php", **query)
        assert answer["result"] == 1
