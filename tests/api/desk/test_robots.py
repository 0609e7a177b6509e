"""The sandbox's agents at a real desk: each habit does what it says."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.desk.seats import KEY, PASSWORD, Seat, customer_asks, employ, sign_in
from tests.api.service import Service, running_service
from tests.sandbox_server import SandboxServer

WAIT = 30.0


@pytest.fixture(scope="module")
def staffed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("robots")
    with running_service(folder, api_key=KEY, desk_agent_away_s=5.0, desk_rating=False) as running:
        running.client.headers["X-API-Key"] = KEY
        yield running


@pytest.fixture
def robots(staffed: Service, sandbox_server: SandboxServer) -> Iterator["Robots"]:
    sandbox_server.set_target(staffed.url)
    hired = Robots(staffed, sandbox_server)
    yield hired
    hired.dismiss()


class Robots:
    """Robots of one test, in a shop of its own."""

    def __init__(self, service: Service, sandbox: SandboxServer) -> None:
        self.service, self._sandbox = service, sandbox
        self.shop = f"shop-{uuid.uuid4().hex[:8]}"
        self._hired: list[str] = []
        employ(service, "boss", role="admin")
        self.boss: Seat = sign_in(service, "boss")
        self.boss.post("/presence", status="away").raise_for_status()

    def hire(self, habit: str, **more: Any) -> str:
        login = f"{habit}-{uuid.uuid4().hex[:6]}"
        employ(self.service, login, scopes=[f"api:{self.shop}"])
        body = {"login": login, "password": PASSWORD, "habit": habit, "reply_s": 0.0} | more
        self._sandbox.post("/_sandbox/agents/robots", body)
        self._hired.append(login)
        self.after(login, "signed_in")
        return login

    def after(self, login: str, did: str, times: int = 1) -> dict[str, int]:
        """What it has done, when it has done that so often."""
        path = f"/_sandbox/agents/robots/{login}"
        shown = self._sandbox.get(path, did=did, at_least=times, wait=WAIT)
        done: dict[str, int] = shown["done"]
        assert done.get(did, 0) >= times, shown
        return done

    def asks(self, text: str = "转人工", customer: str = "") -> str:
        return customer_asks(
            self.service, text, account=self.shop, customer=customer, deadline_s=0.01
        )

    def talk(self, conversation: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.boss.get(f"/conversations/{conversation}").json()
        return shown

    def said(self, conversation: str) -> list[str]:
        """By whom of staff each answer was."""
        messages = self.talk(conversation)["messages"]
        return [message["agent"] for message in messages if message["role"] == "staff"]

    def dismiss(self) -> None:
        for login in self._hired:
            self._sandbox.delete(f"/_sandbox/agents/robots/{login}")
        self.boss.client.close()


def test_an_answering_robot_takes_answers_each_message_and_resolves(robots: Robots) -> None:
    robot = robots.hire("answer", answers=2)
    conversation = robots.asks(customer="a customer")
    robots.after(robot, "said")
    assert robots.talk(conversation)["mode"] == "human"
    robots.asks("好的，那请快一点", customer="a customer")
    robots.after(robot, "resolved")
    assert robots.said(conversation) == [robot, robot]
    assert robots.talk(conversation)["handoff"]["status"] == "closed"


def test_of_robots_that_collide_one_has_the_conversation(robots: Robots) -> None:
    crowd = [robots.hire("collide", answers=0) for _ in range(3)]
    conversations = [robots.asks() for _ in range(4)]
    for conversation in conversations:
        _until_said(robots, conversation)
        speakers = robots.said(conversation)
        assert len(speakers) == 1
        assert robots.talk(conversation)["handoff"]["agent"] == speakers[0]
    assert set(crowd) >= {robots.said(conversation)[0] for conversation in conversations}


def _until_said(robots: Robots, conversation: str) -> None:
    with robots.boss.watching(after="0") as told:
        for event in told:
            data = event.data
            said = event.kind == "message" and data["data"]["role"] == "staff"
            if said and data["conversation_id"] == conversation:
                return


def test_an_idle_robot_says_nothing_to_what_it_is_given(robots: Robots) -> None:
    idle = robots.hire("idle")
    conversation = robots.asks()
    answering = robots.hire("answer")
    done = robots.after(answering, "signed_in")
    assert robots.said(conversation) in ([], [answering])
    assert "said" not in robots.after(idle, "signed_in")
    assert done["signed_in"] == 1


def test_when_a_robot_is_gone_another_gets_its_conversation(robots: Robots) -> None:
    leaver = robots.hire("leave")
    conversation = robots.asks(customer="left alone")
    robots.after(leaver, "left")
    follower = robots.hire("answer", answers=0)
    robots.asks("还在吗", customer="left alone")
    robots.after(follower, "said")
    assert robots.said(conversation) == [leaver, follower]
