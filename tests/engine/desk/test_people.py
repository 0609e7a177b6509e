"""Agents: signing in and out, presence, and who looks after whom."""

import asyncio
import json
from dataclasses import replace

import pytest

from domain.desk import AgentRole, Presence
from domain.errors import InvalidInput
from engine.desk import passwords
from engine.desk.desk import Conflict, Forbidden, SignInRefused
from engine.desk.passwords import MAX_WAITING
from engine.desk.people import BUSY_S, FREE_TRIES, LOCKED_S
from storage import agents
from storage.database import Database
from tests.engine.desk.bench import PASSWORD, POLICY, Bench


async def test_who_signs_in_is_known_by_the_token_until_they_sign_out(bench: Bench) -> None:
    await bench.agent("ann")
    session = await bench.desk.sign_in(" Ann ", PASSWORD)
    found = await bench.desk.session(session.token)
    assert found is not None
    assert (found.agent.id, found.csrf, found.token) == ("ann", session.csrf, "")
    stored = await bench.rows("SELECT token_hash, csrf FROM agent_sessions")
    assert session.token not in str(stored)
    await bench.desk.sign_out(session.token)
    assert await bench.desk.session(session.token) is None
    assert await bench.desk.session("") is None


async def test_a_session_ends_by_time(bench: Bench) -> None:
    await bench.agent("ann")
    session = await bench.desk.sign_in("ann", PASSWORD)
    bench.now += 12 * 3_600 - 1
    assert await bench.desk.session(session.token) is not None
    bench.now += 1
    assert await bench.desk.session(session.token) is None


async def test_a_wrong_password_and_an_unknown_login_are_refused_alike(bench: Bench) -> None:
    await bench.agent("ann")
    said = set()
    for login in ("ann", "nobody"):
        with pytest.raises(SignInRefused) as refused:
            await bench.desk.sign_in(login, "wrong")
        said.add((refused.value.status, refused.value.field, refused.value.reason))
    assert said == {(401, "password", "账号或密码不正确")}


async def test_guesses_at_the_same_time_are_no_more_than_one_after_another(bench: Bench) -> None:
    await bench.agent("ann")
    guesses = (bench.desk.sign_in("ann", f"guess {n}") for n in range(MAX_WAITING + 8))
    refused = await asyncio.gather(*guesses, return_exceptions=True)
    assert all(isinstance(one, SignInRefused) for one in refused)
    tried = [one for one in refused if isinstance(one, SignInRefused) and one.status == 401]
    assert len(tried) == FREE_TRIES
    busy = [one for one in refused if isinstance(one, SignInRefused) and one.retry_after == BUSY_S]
    assert len(busy) == 8


async def test_after_several_wrong_passwords_even_the_right_one_waits_in_every_process(
    bench: Bench,
) -> None:
    other, _ = bench.process(name="p2")
    await bench.agent("ann")
    for _ in range(FREE_TRIES):
        with pytest.raises(SignInRefused):
            await bench.desk.sign_in("ann", "wrong")
    with pytest.raises(SignInRefused) as refused:
        await other.sign_in("ann", PASSWORD)
    assert (refused.value.status, refused.value.retry_after) == (429, LOCKED_S)
    bench.now += LOCKED_S + 1
    assert (await other.sign_in("ann", PASSWORD)).agent.id == "ann"
    with pytest.raises(SignInRefused) as again:
        await bench.desk.sign_in("ann", "wrong")
    assert again.value.status == 401


async def test_a_disabled_agent_is_signed_out_and_cannot_sign_in(bench: Bench) -> None:
    boss, ann = await bench.admin(), await bench.agent("ann")
    talk = await bench.waits("a")
    await bench.desk.take(ann, talk)
    session = await bench.desk.sign_in("ann", PASSWORD)
    await bench.desk.put_agent(boss, "ann", enabled=False)
    assert await bench.desk.session(session.token) is None
    assert await bench.stands(talk) == ("queued", "open", "")
    with pytest.raises(SignInRefused):
        await bench.desk.sign_in("ann", PASSWORD)


async def test_a_new_password_ends_all_sessions(bench: Bench) -> None:
    boss = await bench.admin()
    await bench.agent("ann")
    sessions = [await bench.desk.sign_in("ann", PASSWORD) for _ in range(2)]
    await bench.desk.put_agent(boss, "ann", password="another password")
    assert [await bench.desk.session(one.token) for one in sessions] == [None, None]
    assert (await bench.desk.sign_in("ann", "another password")).agent.id == "ann"


async def test_who_leaves_gives_everything_back_and_who_is_away_keeps_it(bench: Bench) -> None:
    ann = await bench.agent("ann")
    talks = [await bench.waits(user) for user in "ab"]
    for talk in talks:
        await bench.desk.take(ann, talk)
    away = await bench.desk.presence(ann, Presence.AWAY)
    assert (away.status, away.load) == (Presence.AWAY, 2)
    gone = await bench.desk.presence(ann, Presence.OFFLINE)
    assert (gone.status, gone.load) == (Presence.OFFLINE, 0)
    assert [await bench.stands(talk) for talk in talks] == [("queued", "open", "")] * 2


async def test_only_the_last_of_an_agents_sessions_takes_them_offline(bench: Bench) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a")
    await bench.desk.take(ann, talk)
    first, second = [await bench.desk.sign_in("ann", PASSWORD) for _ in range(2)]
    await bench.desk.sign_out(first.token)
    assert (await bench.stands(talk))[1] == "taken"
    await bench.desk.sign_out(second.token)
    assert (await bench.stands(talk))[1] == "open"
    found = await bench.desk.agent("ann")
    assert found is not None
    assert found.status is Presence.OFFLINE


async def test_presence_is_told_when_it_changes_and_only_then(bench: Bench) -> None:
    ann = await bench.agent("ann")
    for status in (Presence.ONLINE, Presence.AWAY, Presence.AWAY, Presence.ONLINE):
        await bench.desk.presence(ann, status)
    rows = await bench.rows("SELECT agent, data FROM desk_events WHERE kind = 'presence'")
    assert [json.loads(row["data"])["status"] for row in rows] == ["online", "away", "online"]


async def test_a_sign_of_life_is_written_every_few_seconds_at_most(bench: Bench) -> None:
    ann = await bench.agent("ann")
    seen = []
    for _ in range(6):
        bench.now += 4
        await bench.desk.heartbeat(ann)
        seen += await bench.rows("SELECT seen_ts FROM agents")
    assert len({row["seen_ts"] for row in seen}) == 2


async def test_where_agents_are_soon_away_signs_of_life_are_written_as_soon(
    database: Database,
) -> None:
    bench = Bench(database, replace(POLICY, away_s=5.0))
    ann = await bench.agent("ann")
    for _ in range(4):
        bench.now += 5 / 3  # an open stream gives one in a third of the time
        await bench.desk.heartbeat(ann)
        rows = await bench.rows("SELECT seen_ts FROM agents")
        assert rows[0]["seen_ts"] == bench.now


async def test_an_admin_adds_and_changes_agents(bench: Bench) -> None:
    boss = await bench.admin()
    ann = await bench.desk.put_agent(
        boss,
        "ann",
        name=" 小安\n",
        role="agent",
        skills=["refund", "refund", " "],
        scopes=["wecom_kf", "webhook:shop"],
        password=PASSWORD,
    )
    assert (ann.name, ann.skills, ann.max_load) == ("小安", ("refund",), 8)
    changed = await bench.desk.put_agent(boss, "ann", max_load=3, role="viewer")
    assert (changed.max_load, changed.role, changed.name) == (3, AgentRole.VIEWER, "小安")
    assert [agent.id for agent in await bench.desk.agents(boss)] == ["ann", "boss"]
    session = await bench.desk.sign_in("ann", PASSWORD)
    assert session.agent == changed or session.agent.seen_ts > changed.seen_ts
    assert PASSWORD not in str(await bench.rows("SELECT * FROM agents"))


async def test_only_admins_look_after_agents(bench: Bench) -> None:
    ann = await bench.agent("ann")
    with pytest.raises(Forbidden):
        await bench.desk.put_agent(ann, "ann", role="admin")
    found = await bench.desk.agent("ann")
    assert found is not None
    assert found.role is AgentRole.AGENT


@pytest.mark.parametrize(
    ("agent_id", "values", "field"),
    [
        ("Ann", {"password": PASSWORD}, "id"),
        ("an n", {"password": PASSWORD}, "id"),
        ("", {"password": PASSWORD}, "id"),
        ("ann", {}, "password"),
        ("ann", {"password": "short"}, "password"),
        ("ann", {"password": PASSWORD, "role": "boss"}, "role"),
        ("ann", {"password": PASSWORD, "scopes": ["web hook"]}, "scopes"),
        ("ann", {"password": PASSWORD, "scopes": ["*:x"]}, "scopes"),
        ("ann", {"password": PASSWORD, "max_load": 0}, "max_load"),
        ("ann", {"password": PASSWORD, "name": " \n"}, "name"),
        ("ann", {"password": PASSWORD, "skills": ["x" * 65]}, "skills"),
    ],
)
async def test_an_agent_that_cannot_be_is_refused(
    bench: Bench, agent_id: str, values: dict[str, object], field: str
) -> None:
    boss = bench.desk.local_admin()
    with pytest.raises(InvalidInput) as refused:
        await bench.desk.put_agent(boss, agent_id, **values)  # type: ignore[arg-type]
    assert refused.value.field == field
    assert not await bench.desk.has_agents()


async def test_admins_cannot_lock_themselves_out(bench: Bench) -> None:
    boss = await bench.admin()
    for change in ({"enabled": False}, {"role": "agent"}):
        with pytest.raises(Conflict):
            await bench.desk.put_agent(boss, "boss", **change)


async def test_an_agent_is_added_once(bench: Bench) -> None:
    ann = await bench.agent("ann")
    for _ in range(2):
        added = await bench.database.write(
            lambda c: agents.add(c, ann, "x", by="test", now=bench.now)
        )
        assert not added
    assert (await bench.desk.sign_in("ann", PASSWORD)).agent.id == "ann"


def test_a_password_is_salted_and_compared_in_full() -> None:
    first, second = (passwords.hashed("same password") for _ in range(2))
    assert first != second
    assert passwords.matches("same password", first)
    assert not passwords.matches("same passwor", first)
    assert not passwords.matches("same password", None)
