"""``python -m tests.tools.wx.mutated``: mutated callbacks by the million, others each time."""

import argparse
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.tools.wx.mutations import MUTATIONS, Callback, Original, scribbled
from tests.tools.wx.vectors import VECTORS
from tools.wx.crypto import CallbackKeys, CallbackRefused, Freshness
from tools.wx.envelope import fields_of, received


class Receiver:
    """The protocol's side of a callback address, at the time when ``original`` was sent."""

    def __init__(self, original: Original) -> None:
        vector = original.vector
        self._keys: CallbackKeys = vector.keys()
        self._freshness = Freshness(600, lambda: float(vector.timestamp) + 2)
        self._reads_fields = original.holds_fields

    def take(self, callback: Callback) -> bytes:
        """The message; raises CallbackRefused, and nothing else whatever comes."""
        message = received(
            self._keys,
            self._freshness,
            callback.body,
            msg_signature=callback.msg_signature,
            timestamp=callback.timestamp,
            nonce=callback.nonce,
        )
        if self._reads_fields:
            fields_of(message)
        return message


ORIGINALS = [Original(vector, as_json=as_json) for vector in VECTORS for as_json in (False, True)]
RECEIVERS = [Receiver(original) for original in ORIGINALS]
ANY = range(len(ORIGINALS))
WITH_FIELDS = [number for number in ANY if ORIGINALS[number].holds_fields]


@dataclass
class Report:
    """``accepted``: callbacks that were, by the name of their mutation."""

    made: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    accepted: list[tuple[str, Callback]] = field(default_factory=list)


def run(count: int, seed: int) -> Report:
    rng, report = random.Random(seed), Report()
    mutations = list(MUTATIONS.items())
    for number in range(count):
        name, mutation = mutations[number % len(mutations)]
        chosen = rng.choice(WITH_FIELDS if name == "insider_message" else ANY)
        callback = mutation(rng, ORIGINALS[chosen])
        report.made[name] += 1
        try:
            RECEIVERS[chosen].take(callback)
        except CallbackRefused as refused:
            report.refused[refused.code.name] += 1
        except Exception as error:
            error.add_note(f"number {number} of seed {seed}: {name} {callback!r}")
            raise
        else:
            report.accepted.append((name, callback))
    return report


def scribble(count: int, seed: int) -> Counter[str]:
    """What became of bodies that were changed anywhere; a message that was not sent is an error."""
    rng, became = random.Random(seed), Counter[str]()
    for _ in range(count):
        chosen = rng.choice(ANY)
        callback = scribbled(rng, ORIGINALS[chosen])
        try:
            message = RECEIVERS[chosen].take(callback)
        except CallbackRefused:
            became["refused"] += 1
        else:
            became["unharmed" if message == ORIGINALS[chosen].vector.message else "forged"] += 1
    return became


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.wx.mutated", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, help="repeats an earlier run")
    options = parser.parse_args()
    seed = random.getrandbits(32) if options.seed is None else options.seed
    began = time.monotonic()
    report, scribbles = run(options.count, seed), scribble(options.count // 10, seed)
    print(f"--seed {seed}: {time.monotonic() - began:.1f} s")
    print(f"made: {dict(report.made)}\nrefused: {dict(report.refused)}\nscribbled: {scribbles}")
    for name, callback in report.accepted[:20]:
        print(f"ACCEPTED {name}: {callback!r}")
    return 1 if report.accepted or scribbles["forged"] else 0


if __name__ == "__main__":
    sys.exit(main())
