"""Customers who write to WeChat customer service at a WeCom that does all that WeCom may do."""

import random
import threading
import time
from collections.abc import Sequence

from tests.crash.pushed import QUESTIONS
from tests.sandbox_server import JsonObject, SandboxServer

PEER = "wecom"
HOUR_S = 3_600.0
STALE_TEXT = "启动之前的话"
LATE_STALE_SHARE = 0.03
"""Of the messages, how many bring one with them that was written before the first start."""
LONGEST_PAUSE_S = 0.12
KF_SETTINGS = {
    "page": 20,
    "empty_rate": 0.2,
    "short_rate": 0.5,
    "repeat_rate": 0.3,
    "bell_share_s": 0.2,
    "bell_loss_rate": 0.1,
    "fail_rate": 0.02,
    "fail_type": 10,
}
CALLBACKS = {
    "copies_rate": 0.2,
    "jitter_s": 0.5,
    "deliveries": 4,
    "retry_status": True,
    "reseal": True,
}
ERRCODES = ((-1, 0.03), (45033, 0.02))
TOKENS = {"lifetime_s": 30, "early_end_rate": 0.01}


class Storm:
    """``said``: ids of each customer's messages in their order; ``stale``: of what was written
    before the service's first start, whenever it arrives."""

    def __init__(self, sandbox: SandboxServer, seed: int, *, customers: int, messages: int) -> None:
        self.said: dict[str, list[str]] = {f"wm{number}": [] for number in range(customers)}
        self.stale: list[str] = []
        self._sandbox, self._chance = sandbox, random.Random(seed)
        self._plan = self._planned(messages)
        self._due = threading.Condition()
        self._share = 0.0
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="storm", daemon=True)

    def say_stale(self) -> None:
        """Before the service runs for the first time: of customers who write again later, and of
        some who do not."""
        self._put("callback", {"urls": []})
        for number, customer in enumerate((*self.said, *(f"wmOld{n}" for n in range(5)))):
            if number % 2 == 0:
                self._say_stale(customer, self._chance.choice((5.0, HOUR_S, 40 * HOUR_S)))

    def let_loose(self, urls: Sequence[str], *, patient: bool) -> None:
        """Everything that WeCom, and the network on the way to it, can do to the service.
        ``patient``: also what costs it a minute."""
        callbacks = {"urls": [f"{url}/wecom/callback" for url in urls], **CALLBACKS}
        self._put("callback", callbacks)
        self._put("kf/settings", KF_SETTINGS)
        self._put("tokens", TOKENS)
        fault = self._sandbox.fault
        fault(PEER, "latency", seconds=0.0, jitter=0.1)
        fault(PEER, "lost_answer", rate=0.05)
        fault(PEER, "refuse", rate=0.02)
        fault(PEER, "cut_stream", rate=0.02)
        fault(PEER, "garbage", rate=0.01)
        fault(PEER, "empty", rate=0.01)
        fault(PEER, "status", rate=0.03, status=503)
        fault(PEER, "duplicate", rate=0.1)
        for errcode, rate in ERRCODES:
            self._post("errcode", {"errcode": errcode, "rate": rate})
        if patient:
            fault(PEER, "hang", count=2, request_kind="kf/send_msg", after=50)
            fault(PEER, "hang", count=1, request_kind="kf/sync_msg", after=20)
            for call in ("kf/send_msg", "kf/sync_msg"):
                self._post("errcode", {"errcode": 45009, "request_kind": call, "count": 2})
        self._thread.start()

    def go_on(self, share: float) -> None:
        """Up to that share of the messages may be written now."""
        with self._due:
            self._share = max(self._share, share)
            self._due.notify()
        if self._chance.random() < 0.2:
            self._post("tokens/rotate", {})

    def finish(self) -> None:
        """Once everything is written. Raises what went wrong while they wrote."""
        self.go_on(1.0)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _planned(self, messages: int) -> list[str]:
        """Who writes when: everybody, and some several times in a row."""
        plan = list(self.said)
        while len(plan) < messages:
            plan += [self._chance.choice(list(self.said))] * self._chance.choice((1, 1, 1, 3))
        del plan[messages:]
        return plan

    def _run(self) -> None:
        chance, before = random.Random(self._chance.random()), ""
        try:
            for number, customer in enumerate(self._plan):
                with self._due:
                    self._due.wait_for(lambda n=number: n < self._share * len(self._plan))  # type: ignore[misc]
                if chance.random() < LATE_STALE_SHARE:
                    self._say_stale(customer, 2 * HOUR_S)
                if customer != before:
                    time.sleep(chance.uniform(0.0, LONGEST_PAUSE_S))
                before = customer
                said = self._post("say", {"customer": customer, "text": chance.choice(QUESTIONS)})
                self.said[customer].append(said["msgid"])
        except BaseException as error:
            self._error = error

    def _say_stale(self, customer: str, ago_s: float) -> None:
        body = {"customer": customer, "text": STALE_TEXT, "sent_ago_s": ago_s}
        self.stale.append(str(self._post("say", body)["msgid"]))

    def _put(self, what: str, body: object) -> None:
        self._sandbox.put(f"/_sandbox/wecom/{what}", body)

    def _post(self, what: str, body: object) -> JsonObject:
        return self._sandbox.post(f"/_sandbox/wecom/{what}", body)
