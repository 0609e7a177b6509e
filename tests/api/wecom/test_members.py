"""Members write to the application at the simulated WeCom, and are answered there."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from domain.errors import ConfigurationError
from engine.bootstrap import build
from engine.settings import SANDBOX_WECOM
from tests.api.service import Service, running_service, settings_for
from tests.api.wecom.test_callback import pending, serving, until
from tests.databases import fresh_postgres_database
from tests.sandbox.wecom import PNG, Wecom
from tests.sandbox_server import JsonObject, SandboxServer

MEMBER = "lisi"
AGENT = 1000002


@pytest.fixture(params=["sqlite", "postgresql"])
def on_each_database(
    request: pytest.FixtureRequest, sandbox_server: SandboxServer, tmp_path: Path
) -> Iterator[tuple[Service, Wecom]]:
    if request.param == "sqlite":
        with serving(sandbox_server, tmp_path, None) as found:
            yield found
        return
    with (
        fresh_postgres_database(request.getfixturevalue("postgres_url")) as url,
        serving(sandbox_server, tmp_path, None, database_url=url) as found,
    ):
        yield found


@pytest.fixture
def served(
    sandbox_server: SandboxServer, tmp_path: Path, knowledge_folder: Path
) -> Iterator[tuple[Service, Wecom]]:
    with serving(sandbox_server, tmp_path, knowledge_folder) as found:
        yield found


def company(sandbox: SandboxServer) -> dict[str, Any]:
    """The sandbox's company, by settings of its own instead of the sandbox's."""
    return {
        "wecom_corp_id": SANDBOX_WECOM.corp_id,
        "wecom_agent_id": SANDBOX_WECOM.agent_id,
        "wecom_agent_secret": SecretStr("secret"),
        "wecom_token": SecretStr(SANDBOX_WECOM.token),
        "wecom_aes_key": SecretStr(SANDBOX_WECOM.aes_key),
        "wecom_api_base": f"{sandbox.url}/wecom/cgi-bin",
    }


def write(wecom: Wecom, said: str = "", /, **fields: Any) -> str:
    return str(wecom.play("app/say", {"userid": MEMBER, "text": said, **fields})["msgid"])


def tell(wecom: Wecom, event: str, key: str = "") -> None:
    write(wecom, msgtype="event", fields={"Event": event, "EventKey": key})


def answers(wecom: Wecom, member: str = MEMBER) -> list[JsonObject]:
    return [one for one in wecom.chat(f"app/{AGENT}/{member}") if one["who"] == "service"]


def texts(wecom: Wecom) -> list[str]:
    return [one["text"] for one in answers(wecom)]


def settled(service: Service, wecom: Wecom, count: int) -> list[str]:
    """What the member was answered, once that is ``count`` messages and all is quiet."""
    until(lambda: len(answers(wecom)) >= count)
    until(lambda: wecom.sandbox.get("/_sandbox/wecom/callbacks")["pending"] == 0)
    until(lambda: _unread(service) == 0 and pending(service) == 0)
    return texts(wecom)


def _unread(service: Service) -> int:
    with service.kefu.engine.database.engine.connect() as connection:
        query = "SELECT count(*) FROM messages WHERE status = 'unread'"
        return int(connection.execute(text(query)).scalar_one())


def rows(service: Service, query: str) -> list[tuple[Any, ...]]:
    with service.kefu.engine.database.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_a_member_who_writes_is_answered_by_the_application(
    on_each_database: tuple[Service, Wecom],
) -> None:
    service, wecom = on_each_database
    msgid = write(wecom, "你好")
    (answer,) = settled(service, wecom, 1)
    assert answer
    columns = "channel, account, channel_message_id, content"
    stored = rows(service, f"SELECT {columns} FROM messages WHERE role = 'user'")
    assert stored == [("wecom_app", str(AGENT), msgid, "你好")]
    assert service.names() == [MEMBER]


def test_a_message_that_comes_more_than_once_is_answered_once(
    on_each_database: tuple[Service, Wecom],
) -> None:
    service, wecom = on_each_database
    wecom.set("callback", copies_rate=1.0)
    write(wecom, "你好", msgid="7000000000000000001")
    settled(service, wecom, 1)
    # Not the same bytes: the platform's id alone says that it is the same.
    write(wecom, "你好 ", msgid="7000000000000000001")
    assert len(settled(service, wecom, 1)) == 1
    assert service.rows("turns") == 1


def test_a_button_of_the_menu_says_its_key(served: tuple[Service, Wecom]) -> None:
    service, wecom = served
    tell(wecom, "click", "怎么退货")
    (answer,) = settled(service, wecom, 1)
    assert "退" in answer
    assert rows(service, "SELECT content, event FROM messages WHERE role = 'user'") == [
        ("怎么退货", "click")
    ]
    tell(wecom, "click", "")
    settled(service, wecom, 1)
    assert service.rows("turns") == 1


def test_who_opens_the_application_for_the_first_time_is_greeted(
    on_each_database: tuple[Service, Wecom],
) -> None:
    service, wecom = on_each_database
    tell(wecom, "enter_agent")
    (greeting,) = settled(service, wecom, 1)
    assert greeting == service.kefu.services.templates.render("member_welcome", seed=MEMBER)
    wecom.pass_time(100)
    tell(wecom, "enter_agent")
    assert settled(service, wecom, 1) == [greeting]
    assert rows(service, "SELECT event, status FROM messages") == [("enter_agent", "handled")]


def test_who_has_written_before_is_not_greeted(served: tuple[Service, Wecom]) -> None:
    service, wecom = served
    write(wecom, "你好")
    before = settled(service, wecom, 1)
    tell(wecom, "enter_agent")
    assert settled(service, wecom, 1) == before


def test_a_picture_is_fetched_at_once_by_its_media_id(
    sandbox_server: SandboxServer, tmp_path: Path
) -> None:
    hour = {"debounce_async_s": 3_600.0, "debounce_max_s": 3_600.0}
    with serving(sandbox_server, tmp_path, None, **hour) as (service, wecom):
        media_id = str(wecom.upload("image", "a.png", PNG)["media_id"])
        write(wecom, msgtype="image", fields={"MediaId": media_id, "PicUrl": "http://x"})
        until(lambda: service.rows("picture_sources") > 0)
        kept = rows(service, "SELECT source, sha256 FROM picture_sources")
        assert service.rows("turns") == 0
    assert kept == [(f"wecom:{media_id}", hashlib.sha256(PNG).hexdigest())]


@pytest.mark.parametrize(
    ("msgtype", "wording"), [("voice", "wechat_voice"), ("video", "wechat_unsupported")]
)
def test_what_has_no_words_is_kept_and_words_are_asked_for(
    served: tuple[Service, Wecom], msgtype: str, wording: str
) -> None:
    service, wecom = served
    msgid = write(wecom, msgtype=msgtype, fields={"MediaId": "m1"})
    templates = service.kefu.services.templates
    assert settled(service, wecom, 1) == [templates.render(wording, seed=msgid)]
    assert rows(service, "SELECT kind, status FROM messages") == [
        ("voice" if msgtype == "voice" else "file", "handled")
    ]
    assert service.rows("turns") == 0


def test_where_a_person_has_the_conversation_nothing_answers_by_itself(
    served: tuple[Service, Wecom],
) -> None:
    service, wecom = served
    write(wecom, "转人工")
    before = settled(service, wecom, 1)
    with service.kefu.engine.database.engine.begin() as connection:
        connection.execute(text("UPDATE conversations SET mode = 'human'"))
    write(wecom, msgtype="voice", fields={"MediaId": "m1"})
    until(lambda: rows(service, "SELECT count(*) FROM messages WHERE kind = 'voice'") == [(1,)])
    assert settled(service, wecom, 1) == before


def test_messages_to_another_application_are_left_alone(served: tuple[Service, Wecom]) -> None:
    service, wecom = served
    write(wecom, "你好", agent_id=1000009)
    until(lambda: wecom.sandbox.get("/_sandbox/wecom/callbacks")["delivered"] == 1)
    assert service.rows("messages") == 0


def test_a_place_and_a_link_are_questions_too(served: tuple[Service, Wecom]) -> None:
    service, wecom = served
    write(
        wecom, msgtype="location", fields={"Location_X": "31", "Location_Y": "121", "Label": "店"}
    )
    settled(service, wecom, 1)
    write(wecom, "取消排队")
    settled(service, wecom, 2)
    wecom.pass_time(2)
    write(
        wecom, msgtype="link", fields={"Title": "怎么退货", "Description": "", "Url": "https://x"}
    )
    settled(service, wecom, 3)
    assert rows(service, "SELECT kind FROM messages WHERE role = 'user' ORDER BY id") == [
        ("location",),
        ("text",),
        ("link",),
    ]


def test_by_default_members_are_not_answered(sandbox_server: SandboxServer, tmp_path: Path) -> None:
    wecom = Wecom(sandbox_server)
    with running_service(tmp_path, **company(sandbox_server)) as service:
        sandbox_server.set_target(service.url)
        write(wecom, "你好")
        tell(wecom, "enter_agent")
        until(lambda: wecom.sandbox.get("/_sandbox/wecom/callbacks")["delivered"] == 2)
        assert service.rows("messages") == 0
        assert service.rows("outbox") == 0


def test_switched_on_they_are(sandbox_server: SandboxServer, tmp_path: Path) -> None:
    wecom = Wecom(sandbox_server)
    chosen = company(sandbox_server) | {"wecom_app_messages": True, "debounce_async_s": 0.0}
    with running_service(tmp_path, **chosen) as service:
        sandbox_server.set_target(service.url)
        write(wecom, "你好")
        assert len(settled(service, wecom, 1)) == 1


@pytest.mark.parametrize(
    ("without", "variable"),
    [
        (("wecom_corp_id", "wecom_agent_secret"), "WECOM_CORP_ID"),
        (("wecom_token", "wecom_aes_key"), "WECOM_TOKEN"),
        (("wecom_agent_id",), "WECOM_AGENT_ID"),
    ],
)
def test_what_it_takes_to_answer_members_has_to_be_there(
    tmp_path: Path, sandbox_server: SandboxServer, without: tuple[str, ...], variable: str
) -> None:
    chosen = {name: value for name, value in company(sandbox_server).items() if name not in without}
    settings = settings_for(tmp_path, wecom_app_messages=True, **chosen)
    with pytest.raises(ConfigurationError, match=variable):
        build(settings)
