"""The desk's pure policies."""

from dataclasses import replace

import pytest

from domain.desk import (
    Agent,
    AgentRole,
    Presence,
    Waiting,
    choose_agent,
    covers,
    in_scope,
    is_agent_id,
    is_scope,
    meets,
    next_deadline,
    place_key,
)

ONE = Waiting(1, "c_1", "wecom_kf", "kf1", since_ts=100.0)


def agent(name: str, **values: object) -> Agent:
    given = {"scopes": ("*",), "status": Presence.ONLINE, "max_load": 4} | values
    return Agent(id=name, name=name, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scopes", "seen"),
    [
        (["*"], True),
        (["wecom_kf"], True),
        (["wecom_kf:kf1"], True),
        (["webhook", "wecom_kf:kf1"], True),
        (["wecom_kf:kf2"], False),
        (["wecom"], False),
        (["wecom_kf:"], False),
        ([], False),
    ],
)
def test_a_scope_is_everything_a_channel_or_one_account(scopes: list[str], seen: bool) -> None:
    assert in_scope(scopes, "wecom_kf", "kf1") is seen


@pytest.mark.parametrize("text", ["*", "webhook", "webhook:shop-1", "wecom_kf:wk@x/y"])
def test_scopes_that_can_be(text: str) -> None:
    assert is_scope(text)


@pytest.mark.parametrize("text", ["", "**", "*:shop", "web hook", "webhook:", "a:b:c", "WEB"])
def test_scopes_that_cannot_be(text: str) -> None:
    assert not is_scope(text)


def test_logins_are_short_lower_case_and_plain() -> None:
    assert all(map(is_agent_id, ("a", "ann.b_c-1", "a" * 64)))
    assert not any(map(is_agent_id, ("", "Ann", "安", "a b", "a\n", "a" * 65, "<b>")))


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ({"priority": "high", "since_ts": 200.0}, {}),
        ({"returned": True, "since_ts": 200.0}, {}),
        ({"level": "white", "since_ts": 200.0}, {}),
        ({"since_ts": 200.0}, {"level": "black"}),
        ({"since_ts": 99.0}, {}),
        ({"priority": "high"}, {"returned": True}),
        ({"returned": True, "level": "black"}, {"level": "white"}),
        ({"handoff": 1}, {"handoff": 2}),
    ],
)
def test_places_in_the_queue(earlier: dict[str, object], later: dict[str, object]) -> None:
    first, second = (replace(ONE, **one) for one in (earlier, later))  # type: ignore[arg-type]
    assert place_key(first) < place_key(second)


def test_the_least_loaded_gets_it_by_share_of_their_room() -> None:
    people = [agent("busy", load=2), agent("large", load=3, max_load=9), agent("small", load=1)]
    chosen = choose_agent(people, ONE)
    assert chosen is not None
    assert chosen.id == "small"
    assert choose_agent(people[:2], ONE) == people[1]


def test_of_equals_the_first_by_name_gets_it_whatever_their_order() -> None:
    people = [agent("b"), agent("a")]
    assert choose_agent(people, ONE) == choose_agent(people[::-1], ONE) == agent("a")


def test_the_agent_of_last_time_goes_before_the_least_loaded_while_able() -> None:
    before = replace(ONE, previous_agent="ann")
    people = [agent("ann", load=3), agent("ben")]
    assert choose_agent(people, before) == people[0]
    assert choose_agent(people, before, barred={"ann"}) == people[1]
    full = [agent("ann", load=4), agent("ben")]
    assert choose_agent(full, before) == full[1]


@pytest.mark.parametrize(
    "unable",
    [
        {"status": Presence.AWAY},
        {"status": Presence.OFFLINE},
        {"enabled": False},
        {"role": AgentRole.VIEWER},
        {"load": 4},
        {"scopes": ("webhook",)},
        {"skills": ("delivery",)},
    ],
)
def test_who_cannot_does_not_get_it(unable: dict[str, object]) -> None:
    wanted = replace(ONE, skill="refund")
    able = agent("ann", skills=("refund",))
    assert choose_agent([able], wanted) == able
    assert choose_agent([replace(able, **unable)], wanted) is None  # type: ignore[arg-type]


def test_each_time_a_deadline_passes_the_next_one_is_twice_as_far_up_to_a_bound() -> None:
    waits = [next_deadline(1_000.0, 60.0, overdue=times) - 1_000.0 for times in range(8)]
    assert waits == [60, 120, 240, 480, 960, 1_920, 1_920, 1_920]


@pytest.mark.parametrize(
    ("scopes", "others", "covered", "met"),
    [
        (["*"], ["webhook:a", "wecom"], True, True),
        (["webhook"], ["webhook:a", "webhook:b"], True, True),
        (["webhook:a"], ["webhook:a"], True, True),
        (["webhook:a"], ["webhook"], False, True),
        (["webhook:a"], ["*"], False, True),
        (["webhook:a"], ["webhook:b"], False, False),
        (["webhook:a"], ["wecom:a"], False, False),
        (["webhook:a", "wecom"], ["webhook:b", "wecom:x"], False, True),
        (["webhook"], ["webhooks:a"], False, False),
        ([], ["webhook:a"], False, False),
        (["webhook:a"], [], True, False),
    ],
)
def test_scopes_cover_and_meet_others(
    scopes: list[str], others: list[str], covered: bool, met: bool
) -> None:
    assert covers(scopes, others) is covered
    assert meets(scopes, others) is met
    assert meets(others, scopes) is met
