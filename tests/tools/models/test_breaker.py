import pytest

from tools.models.breaker import BreakerPolicy, BreakerState, CircuitBreaker
from tools.models.calls import FailureKind

POLICY = BreakerPolicy(failures=3, window=60, wait=10, longest=40, lasting=600, probe=30)


def opened(at: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker(POLICY)
    for _ in range(POLICY.failures):
        breaker.failed("server", at)
    return breaker


def test_it_opens_at_the_threshold_and_not_before() -> None:
    breaker = CircuitBreaker(POLICY)
    for _ in range(POLICY.failures - 1):
        breaker.failed("timeout", 0)
    assert breaker.admits(0)
    breaker.failed("timeout", 0)
    assert not breaker.admits(9.9)
    assert breaker.state(9.9) is BreakerState.OPEN


def test_half_open_it_lets_one_call_through_at_a_time() -> None:
    breaker = opened()
    assert breaker.state(10) is BreakerState.HALF_OPEN
    assert breaker.admits(10)
    assert not breaker.admits(10)
    assert not breaker.would_admit(10)


def test_a_good_probe_closes_it() -> None:
    breaker = opened()
    breaker.admits(10)
    breaker.succeeded(11)
    assert breaker.state(11) is BreakerState.CLOSED
    assert breaker.admits(11)
    assert breaker.admits(11)


def test_each_failed_probe_doubles_the_wait_up_to_the_longest() -> None:
    breaker, now, waits = opened(), 10.0, []
    for _ in range(4):
        breaker.admits(now)
        breaker.failed("refused", now)
        wait = next(step for step in range(1, 100) if breaker.would_admit(now + step))
        waits.append(wait)
        now += wait
    assert waits == [20, 40, 40, 40]


@pytest.mark.parametrize("kind", ["auth", "quota"])
def test_what_only_the_operator_can_mend_opens_it_at_once_and_for_longer(kind: FailureKind) -> None:
    breaker = CircuitBreaker(POLICY)
    breaker.failed(kind, 0)
    assert breaker.state(599) is BreakerState.OPEN
    assert breaker.state(600) is BreakerState.HALF_OPEN


@pytest.mark.parametrize("kind", ["bad_request", "content_filter", "empty"])
def test_the_requests_own_faults_never_open_it(kind: FailureKind) -> None:
    breaker = CircuitBreaker(POLICY)
    for _ in range(50):
        breaker.failed(kind, 0)
    assert breaker.state(0) is BreakerState.CLOSED


def test_failures_that_are_few_among_successes_do_not_open_it() -> None:
    breaker = CircuitBreaker(POLICY)
    for _ in range(20):
        breaker.succeeded(0)
        breaker.succeeded(0)
        breaker.failed("server", 0)
    assert breaker.state(0) is BreakerState.CLOSED


def test_old_failures_are_forgotten() -> None:
    breaker = CircuitBreaker(POLICY)
    for now in (0, 61, 122, 183):
        breaker.failed("server", now)
    assert breaker.state(183) is BreakerState.CLOSED


def test_a_provider_that_asks_for_a_long_pause_gets_it_at_once() -> None:
    breaker = CircuitBreaker(POLICY)
    breaker.failed("rate_limited", 0, retry_after=25)
    assert breaker.state(24) is BreakerState.OPEN
    assert breaker.state(25) is BreakerState.HALF_OPEN


def test_no_provider_can_ask_for_more_than_the_longest_wait() -> None:
    breaker = CircuitBreaker(POLICY)
    breaker.failed("rate_limited", 0, retry_after=86_400)
    assert breaker.state(POLICY.longest) is BreakerState.HALF_OPEN


def test_a_cancelled_probe_makes_room_for_the_next() -> None:
    breaker = opened()
    breaker.admits(10)
    breaker.released()
    assert breaker.admits(10)


def test_a_probe_that_never_reports_is_given_up() -> None:
    breaker = opened()
    breaker.admits(10)
    assert not breaker.admits(39)
    assert breaker.admits(40)
