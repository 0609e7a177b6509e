"""No callback is served that the platform did not send.

More, and others each time: ``python -m tests.tools.wx.mutated``.
"""

import pytest

from tests.tools.wx.mutated import ORIGINALS, RECEIVERS, run, scribble
from tests.tools.wx.mutations import MUTATIONS, padded
from tools.wx.crypto import Refusal

COUNT = 100_000


def test_the_genuine_callbacks_are_accepted() -> None:
    for original, receiver in zip(ORIGINALS, RECEIVERS, strict=True):
        assert receiver.take(original.callback()) == original.vector.message


def test_the_insiders_callbacks_fail_by_their_faults_alone() -> None:
    """What is sealed without the code that is tested is accepted as long as nothing is wrong."""
    for original, receiver in zip(ORIGINALS, RECEIVERS, strict=True):
        faultless = original.encrypted(padded(original.content()))
        assert receiver.take(faultless) == original.vector.message


@pytest.mark.timeout(300)
def test_no_mutated_callback_is_accepted_and_none_does_harm() -> None:
    report = run(COUNT, seed=6)
    assert report.accepted == []
    assert sum(report.refused.values()) == COUNT
    assert min(report.made[name] for name in MUTATIONS) >= COUNT // len(MUTATIONS)
    # Each check has had its share of the work.
    assert min(report.refused[code.name] for code in Refusal) > COUNT // 100


def test_a_body_changed_anywhere_is_refused_or_says_what_it_said() -> None:
    became = scribble(10_000, seed=6)
    assert became["forged"] == 0
    assert became["refused"] > 5_000
    assert became["unharmed"] > 100
