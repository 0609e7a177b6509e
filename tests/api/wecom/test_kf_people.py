"""Customer service as a whole: a person takes over, names are learnt, pictures are shown."""

import asyncio
import time
from pathlib import Path

import pytest

from storage import outbox
from storage.clock import iso
from storage.kf import CHANNEL
from storage.outbox import NewDelivery
from tests.api.service import Service
from tests.api.wecom.test_callback import pending, scalar, serving, until
from tests.sandbox.wecom import KF, PNG, Wecom
from tests.sandbox_server import SandboxServer
from tools.pictures.store import PictureStore
from tools.wecom.kf import SessionState


@pytest.fixture(autouse=True)
def seldom_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The turn itself says that somebody waits; nothing here depends on the search for them."""
    monkeypatch.setattr("engine.wecom.kf_hand_over.SWEEP_S", 600.0)


def asks_for_a_person(service: Service, wecom: Wecom) -> None:
    wecom.say("wmOne", "转人工", name="小明")
    until(lambda: len(wecom.texts("wmOne")) >= 2)
    until(lambda: pending(service) == 0)


def test_who_asks_for_a_person_waits_in_the_pool_and_is_known_by_name(
    sandbox_server: SandboxServer, tmp_path: Path
) -> None:
    with serving(sandbox_server, tmp_path, None) as (service, wecom):
        asks_for_a_person(service, wecom)
        until(lambda: wecom.state("wmOne") == SessionState.QUEUE)
        until(lambda: service.names("sender_id = 'wmOne'") == ["小明"])
        wecom.play("session", {"customer": "wmOne", "change_type": 3})
        until(lambda: scalar(service, "SELECT status FROM handoffs") == "closed")


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"wecom_kf_hand_over": "desk"}, SessionState.ASSISTANT),
        ({"wecom_kf_servicers": "lisi,zhangsan"}, SessionState.HUMAN),
    ],
)
def test_the_settings_say_who_gets_the_session(
    sandbox_server: SandboxServer,
    tmp_path: Path,
    chosen: dict[str, str],
    expected: SessionState,
) -> None:
    with serving(sandbox_server, tmp_path, None, **chosen) as (service, wecom):
        asks_for_a_person(service, wecom)
        if expected is SessionState.HUMAN:
            until(lambda: wecom.state("wmOne") == expected)
        else:
            wecom.say("wmOne", "取消排队")
            until(lambda: len(wecom.texts("wmOne")) >= 4)
        sessions = scalar(service, "SELECT count(*) FROM outbox WHERE kind = 'session'")
        assert (wecom.state("wmOne"), sessions) == (expected, int(expected is SessionState.HUMAN))


def test_a_picture_of_our_own_store_reaches_the_customer_as_a_picture(
    sandbox_server: SandboxServer, tmp_path: Path
) -> None:
    with serving(sandbox_server, tmp_path, None) as (service, wecom):
        wecom.say("wmOne", "你好")
        until(lambda: len(wecom.texts("wmOne")) >= 2)
        stored = asyncio.run(PictureStore(service.kefu.settings.data_dir / "pictures").put(PNG))
        conversation = scalar(service, "SELECT id FROM conversations")
        shown = {"type": "image", "text": "", "name": "图片", "chat_id": "wmOne", "to": "wmOne"}
        shown |= {"url": service.kefu.links.url(stored.sha256)}
        delivery = NewDelivery(
            "o1:file:0", conversation, "message", CHANNEL, KF, conversation, "", shown
        )
        with service.kefu.engine.database.engine.begin() as connection:
            outbox.add(connection, [delivery], iso(time.time()))
        until(lambda: len(wecom.texts("wmOne")) >= 3)
        picture = wecom.chat(f"kf/{KF}/wmOne")[-1]
        assert picture["msgtype"] == "image"
        assert wecom.fetch(picture["content"]["media_id"]).content == PNG
