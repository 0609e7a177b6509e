"""Accounts, leases and windows of customer service, on both databases."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from storage import kf, kf_windows
from storage.kf import CHANNEL, KfBook, KfTaken
from storage.kf_windows import Whose
from tests.databases import open_database

WHO = Whose(CHANNEL, "wk1", "wm1")


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with open_database(database_url) as database, database.engine.begin() as found:
        yield found


def heard(connection: Connection, now: float, token: str = "") -> None:
    kf.heard(connection, "wk1", token=token, now=now, since=5.0)


def claim(connection: Connection, owner: str, now: float) -> list[kf.KfPull]:
    return kf.claim(connection, owner=owner, now=now, lease_s=30.0, limit=9)


def test_the_first_start_is_remembered_and_is_no_account(connection: Connection) -> None:
    assert kf.first_start(connection, 100.0) == 100.0
    assert kf.first_start(connection, 200.0) == 100.0
    assert kf.known(connection) == []
    assert claim(connection, "p1", 300.0) == []


def test_one_process_pulls_an_account_until_its_lease_ends(connection: Connection) -> None:
    heard(connection, 10.0, "ENC1")
    (pull,) = claim(connection, "p1", 11.0)
    assert (pull.open_kfid, pull.since, pull.token) == ("wk1", 5.0, "ENC1")
    assert claim(connection, "p2", 12.0) == []
    (other,) = claim(connection, "p2", 42.0)
    with pytest.raises(KfTaken):
        kf.move(connection, pull, "c1", owner="p1", now=43.0, lease_s=30.0)
    kf.move(connection, other, "c1", owner="p2", now=43.0, lease_s=30.0)
    with pytest.raises(KfTaken):
        kf.move(connection, other, "c2", owner="p2", now=44.0, lease_s=30.0)


def test_a_bell_that_rings_during_a_pull_is_not_forgotten(connection: Connection) -> None:
    heard(connection, 10.0)
    (pull,) = claim(connection, "p1", 11.0)
    heard(connection, 12.0)
    kf.done(connection, pull, owner="p1")
    (again,) = claim(connection, "p1", 13.0)
    kf.done(connection, again, owner="p1")
    assert claim(connection, "p1", 14.0) == []


def test_a_failed_pull_comes_back_later_or_with_the_next_bell(connection: Connection) -> None:
    heard(connection, 10.0)
    (pull,) = claim(connection, "p1", 11.0)
    kf.failed(connection, pull, owner="p1", error="away", retry_at=60.0)
    assert claim(connection, "p1", 12.0) == []
    assert KfBook().next_due(connection, now=12.0) == 60.0
    heard(connection, 13.0)
    assert [one.attempts for one in claim(connection, "p1", 13.0)] == [1]


def test_a_silent_account_is_wanted_after_a_while(connection: Connection) -> None:
    kf.know(connection, ["wk1"], since=0.0)
    kf.want(connection, now=100.0, pulled_before=40.0)
    (pull,) = claim(connection, "p1", 100.0)
    kf.move(connection, pull, "c1", owner="p1", now=100.0, lease_s=30.0)
    kf.done(connection, pull, owner="p1")
    kf.want(connection, now=120.0, pulled_before=60.0)
    assert claim(connection, "p1", 120.0) == []


def test_a_window_counts_anew_with_what_was_sent_since_the_customer_wrote(
    connection: Connection,
) -> None:
    kf_windows.open_window(connection, WHO, at=100.0, lasts=50.0, allowed=5)
    window = kf_windows.locked(connection, WHO)
    assert window is not None
    window.sent = {"old": 101.0, "perhaps": 108.5, "since": 111.5}
    kf_windows.save(connection, WHO, window)
    kf_windows.open_window(connection, WHO, at=110.0, lasts=50.0, allowed=5)
    window = kf_windows.locked(connection, WHO)
    assert window is not None
    assert (set(window.sent), set(window.unsure)) == ({"since"}, {"perhaps"})
    assert (window.expires, set(window.past)) == (160.0, {"old", "perhaps", "since"})
    kf_windows.open_window(connection, WHO, at=90.0, lasts=50.0, allowed=5)
    window = kf_windows.locked(connection, WHO)
    assert window is not None
    assert window.opened == 110.0


def test_whose_session_a_person_has_is_known(connection: Connection) -> None:
    kf_windows.open_window(connection, WHO, at=100.0, lasts=50.0, allowed=5)
    assert kf_windows.with_person(connection, [WHO]) == []
    kf_windows.set_state(connection, WHO, "3")
    assert kf_windows.with_person(connection, [WHO]) == [WHO]
