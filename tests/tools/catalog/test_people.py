"""Whom a call is for, and who may reach whom."""

import pytest

from domain.errors import InvalidInput, NotFound
from tests.tools.catalog.calls import (
    AGENT,
    TIANWANG,
    XIAOHONG,
    XIAOMING,
    Desk,
    customer,
)
from tools.registry import Caller, NotAllowed, Role

SENDING = [
    ("send_message", {"message": "您好"}),
    ("send_file", {"file_url": "https://cdn.example/a.pdf"}),
    ("send_image", {"image_url": "https://cdn.example/a.png"}),
    ("schedule_message", {"message": "您好", "delay_minutes": 5}),
    ("transfer_to_human", {"message": "马上转接"}),
]
OWN = [
    ("get_conversation", {}),
    ("transfer_to_human", {}),
    ("create_image_task", {"requirement": "去水印"}),
]


async def test_without_a_name_the_contexts_customer_is_meant(desk: Desk) -> None:
    outcome = await desk.call("send_message", {"message": "您好"}, about=XIAOMING)
    assert outcome.effects[0].payload["to"]["contact_id"] == XIAOMING


@pytest.mark.parametrize("named", ["customer_456", XIAOHONG])
async def test_staff_may_name_somebody_else(desk: Desk, named: str) -> None:
    for caller in (AGENT, TIANWANG):
        arguments = {"message": "您好", "customer_id": named}
        outcome = await desk.call("send_message", arguments, about=XIAOMING, caller=caller)
        to = outcome.effects[0].payload["to"]
        assert (to["contact_id"], to["name"], to["pushes"]) == (XIAOHONG, "小红", True)


async def test_an_id_that_two_channels_use_means_the_contexts_channel_first(desk: Desk) -> None:
    # The namesake on the other channel wrote last, so without a context it is the one.
    arguments = {"customer_id": "customer_123"}
    alone = await desk.call("get_customer", arguments)
    assert alone.output["contact_id"] == "api:shop:customer_123"
    near = await desk.call("get_customer", arguments, about=XIAOHONG)
    assert near.output["contact_id"] == XIAOMING


async def test_an_unknown_customer_and_nobody_at_all_are_told_apart(desk: Desk) -> None:
    with pytest.raises(NotFound) as unknown:
        await desk.call("get_customer", {"customer_id": "nobody"})
    assert (unknown.value.field, unknown.value.status) == ("customer_id", 404)
    with pytest.raises(InvalidInput) as nobody:
        await desk.call("get_customer")
    assert (nobody.value.field, nobody.value.status) == ("customer_id", 422)


@pytest.mark.parametrize(("tool", "arguments"), SENDING)
async def test_a_channel_that_cannot_push_is_refused_with_the_reason(
    desk: Desk, tool: str, arguments: dict[str, object]
) -> None:
    with pytest.raises(InvalidInput, match="渠道 api 不能主动发消息") as caught:
        await desk.call(tool, arguments | {"customer_id": "customer_777"})
    assert caught.value.field == "customer_id"


@pytest.mark.parametrize(("tool", "arguments"), [one for one in SENDING if "delay" not in str(one)])
async def test_within_a_turn_such_a_channel_is_reached(
    desk: Desk, tool: str, arguments: dict[str, object]
) -> None:
    outcome = await desk.call(tool, arguments, about="api:shop:customer_777", pushes=True)
    assert any(effect.kind == "message" for effect in outcome.effects)


async def test_a_turn_is_over_when_a_scheduled_message_is_due(desk: Desk) -> None:
    arguments = {"message": "您好", "delay_minutes": 5}
    with pytest.raises(InvalidInput, match="不能主动发消息"):
        await desk.call("schedule_message", arguments, about="api:shop:customer_777", pushes=True)


async def test_a_customer_on_such_a_channel_can_still_be_handed_over(desk: Desk) -> None:
    outcome = await desk.call("transfer_to_human", {"customer_id": "customer_777"})
    assert outcome.output["told_customer"] is False


@pytest.mark.parametrize(("tool", "arguments"), OWN)
@pytest.mark.parametrize("named", ["", "customer_123", XIAOMING])
async def test_a_customer_reaches_itself(
    desk: Desk, tool: str, arguments: dict[str, object], named: str
) -> None:
    for about in (None, XIAOMING):
        outcome = await desk.call(
            tool, arguments | {"customer_id": named}, caller=customer(XIAOMING), about=about
        )
        assert outcome.output["customer_id"] == "customer_123"
        touched = [effect.payload.get("contact_id", XIAOMING) for effect in outcome.effects]
        assert set(touched) <= {XIAOMING}


@pytest.mark.parametrize(("tool", "arguments"), OWN)
@pytest.mark.parametrize("named", ["customer_456", XIAOHONG, "nobody", "api:shop:customer_123"])
async def test_a_customer_reaches_nobody_else_and_learns_not_who_exists(
    desk: Desk, tool: str, arguments: dict[str, object], named: str
) -> None:
    for about in (None, XIAOMING):
        with pytest.raises(NotAllowed, match="只能操作本人的会话"):
            await desk.call(
                tool, arguments | {"customer_id": named}, caller=customer(XIAOMING), about=about
            )


async def test_a_context_of_somebody_else_does_not_help_a_customer(desk: Desk) -> None:
    for arguments in ({}, {"customer_id": "customer_456"}, {"customer_id": "customer_123"}):
        with pytest.raises(NotAllowed):
            await desk.call(
                "get_conversation", arguments, caller=customer(XIAOMING), about=XIAOHONG
            )


async def test_a_customer_without_identity_reaches_nobody(desk: Desk) -> None:
    nobody = Caller(Role.CUSTOMER, "匿名")
    for arguments in ({}, {"customer_id": "customer_123"}):
        with pytest.raises(NotAllowed):
            await desk.call("get_conversation", arguments, caller=nobody)


async def test_a_customer_who_never_wrote_has_nothing_to_see(desk: Desk) -> None:
    with pytest.raises(NotFound):
        await desk.call("get_conversation", caller=customer("webhook:shop:new"))


async def test_a_customer_does_not_speak_for_the_service(desk: Desk) -> None:
    with pytest.raises(NotAllowed) as caught:
        await desk.call("transfer_to_human", {"message": "您中奖了"}, caller=customer(XIAOMING))
    assert (caught.value.field, caught.value.status) == ("message", 403)
