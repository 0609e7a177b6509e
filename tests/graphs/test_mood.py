"""How a customer feels: measured word lists, a model in doubt, and what follows from it."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from domain.intents import Sentiment
from graphs.classifier.sentiment import Feeling, feeling
from graphs.context import MoodPolicy, Services
from tests.graphs.conftest import Customer
from tests.sandbox_server import SandboxServer, sandbox_server, shared_sandbox
from tests.tools.models.conftest import provider
from tools.models.gateway import ModelGateway

__all__ = ["sandbox_server", "shared_sandbox"]

DATA = Path(__file__).parent / "data"
BAD, WORSE = "你们回复也太慢了吧", "等了三天还没动静"
FURIOUS = "垃圾店，骗钱的"
DOUBTFUL = "哦，你们可真有意思……"


def rows(part: str) -> list[dict[str, Any]]:
    text = (DATA / f"sentiment_{part}.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def measured(part: str) -> dict[str, float]:
    """Shares of right answers: of all, of the negative that were found, of what was said to be
    negative, and of neutral messages left alone; and the same two of strong ones."""
    found = [
        (feeling(row["text"]), Sentiment(row["sentiment"]), row["strong"]) for row in rows(part)
    ]
    said_bad = [one for one in found if one[0].sentiment is Sentiment.NEGATIVE]
    are_bad = [one for one in found if one[1] is Sentiment.NEGATIVE]
    calm = [one for one in found if one[1] is Sentiment.NEUTRAL]
    right = [one for one in found if one[0].sentiment is one[1]]
    both = [one for one in said_bad if one in are_bad]
    return {
        "right": len(right) / len(found),
        "found": len(both) / len(are_bad),
        "meant": len(both) / len(said_bad),
        "calm": sum(one[0].sentiment is one[1] for one in calm) / len(calm),
        "strong_found": sum(one[0].strong for one in found if one[2])
        / sum(one[2] for one in found),
        "strong_meant": sum(one[2] for one in found if one[0].strong)
        / sum(one[0].strong for one in found),
    }


@pytest.mark.parametrize("part", ["dev", "test"])
def test_the_word_lists_are_as_good_as_the_documentation_says(part: str) -> None:
    shares = measured(part)
    assert shares["right"] >= 0.95
    assert min(shares["found"], shares["meant"], shares["calm"]) >= 0.92
    assert min(shares["strong_found"], shares["strong_meant"]) >= 0.95


def test_no_message_is_in_both_sets() -> None:
    assert not {row["text"] for row in rows("dev")} & {row["text"] for row in rows("test")}


@pytest.mark.parametrize(
    ("text", "felt"),
    [
        ("海报上写“垃圾服务，气死我了”", Feeling(Sentiment.NEUTRAL)),
        ("麻烦查下物流，谢谢", Feeling(Sentiment.NEUTRAL)),
        ("谢谢，修得真好", Feeling(Sentiment.POSITIVE)),
        ("我不是来投诉的", Feeling(Sentiment.NEUTRAL)),
        ("修得不错，就是等得太久", Feeling(Sentiment.NEUTRAL, doubtful=True)),
        ("", Feeling(Sentiment.NEUTRAL)),
    ],
)
def test_what_is_ordered_asked_politely_or_denied_is_not_felt(text: str, felt: Feeling) -> None:
    assert feeling(text) == felt


class Talk(Customer):
    """A conversation under a policy of its own."""

    def __init__(self, services: Services, **policy: Any) -> None:
        super().__init__(replace(services, mood=MoodPolicy(**policy)))


async def test_the_second_negative_message_in_a_row_is_offered_a_person(
    services: Services,
) -> None:
    talk, offers = Talk(services), services.templates.wordings["offer_person"]
    said = [
        (await talk.says(text))["decision"]["content"]
        for text in ("失望，在吗", "好烦，充电桩支持多少功率", "真烦，你好")
    ]
    assert [content.endswith(offers) for content in said] == [False, True, False]
    assert (await talk.says("真烦，支持哪些支付方式"))["decision"]["content"].endswith(offers)
    taken = await talk.says("需要")
    assert taken["decision"]["decision"] == "handoff"
    assert taken["risk"]["reasons"] == ["human_request"]


async def test_nobody_is_offered_a_person_behind_a_question(services: Services) -> None:
    talk = Talk(services)
    await talk.says("失望，在吗")
    asked = await talk.says("无语，充电桩质保多久")
    assert (asked["decision"]["decision"], asked["upset"]) == ("clarify", 2)
    assert not any(
        offer in asked["decision"]["content"]
        for offer in services.templates.wordings["offer_person"]
    )


async def test_a_calm_message_between_begins_the_count_anew(services: Services) -> None:
    talk = Talk(services)
    counts = [(await talk.says(text))["upset"] for text in (BAD, "好的", WORSE, BAD, "谢谢")]
    assert counts == [1, 0, 1, 2, 0]


@pytest.mark.parametrize(("does", "handed"), [("handoff", True), ("off", False)])
async def test_policy_says_what_becomes_of_who_stays_dissatisfied(
    services: Services, does: Literal["handoff", "off"], handed: bool
) -> None:
    talk = Talk(services, does=does)
    await talk.says("失望，在吗")
    state = await talk.says("失望，在吗")
    assert (state["risk"]["reasons"][0] == "negative") is handed
    if handed:
        assert state["risk"]["priority"] == "high"
        (handoff,) = [one for one in state["effects"] if one["kind"] == "handoff"]
        assert handoff["payload"]["mood"] == "negative"


async def test_whoever_is_furious_goes_first_and_the_desk_is_told(services: Services) -> None:
    state = await Talk(services).says(FURIOUS)
    assert (state["classification"]["mood"], state["risk"]["priority"]) == ("strong", "high")


@pytest.fixture
async def gateway(sandbox_server: SandboxServer) -> AsyncIterator[ModelGateway]:
    gateway = ModelGateway([provider(sandbox_server, "one")], first_pause=0.02)
    await gateway.warm()
    yield gateway
    await gateway.aclose()


async def mood(services: Services, gateway: ModelGateway, text: str, **policy: Any) -> Any:
    asked = replace(services, models=gateway, mood=MoodPolicy(**{"model": True} | policy))
    customer = Customer(asked)
    state = await customer.says(text)
    calls = [(call.purpose, call.outcome) for call in customer.context.calls]
    return state["classification"]["mood"], [one for one in calls if one[0] == "sentiment"]


async def test_a_model_is_asked_about_doubtful_words_only(
    services: Services, gateway: ModelGateway, sandbox_server: SandboxServer
) -> None:
    sandbox_server.script(reply='{"sentiment":"negative","strong":true}', peer="model/one")
    assert await mood(services, gateway, DOUBTFUL) == ("strong", [("sentiment", "ok")])
    assert await mood(services, gateway, "谢谢") == ("", [])
    assert await mood(services, gateway, DOUBTFUL, model=False) == ("", [])


@pytest.mark.parametrize("reply", ['{"sentiment":"furious"}', "[]", '{"strong":true}'])
async def test_what_a_model_says_otherwise_than_asked_counts_for_nothing(
    services: Services, gateway: ModelGateway, sandbox_server: SandboxServer, reply: str
) -> None:
    sandbox_server.script(reply=reply, peer="model/one")
    assert (await mood(services, gateway, DOUBTFUL))[0] == ""


async def test_a_model_that_hangs_costs_no_more_than_its_deadline(
    services: Services, gateway: ModelGateway, sandbox_server: SandboxServer
) -> None:
    sandbox_server.fault("model/one", "hang", count=1)
    found, calls = await mood(services, gateway, DOUBTFUL, deadline_s=0.3)
    assert (found, [outcome for _, outcome in calls]) == ("", ["timeout"])
