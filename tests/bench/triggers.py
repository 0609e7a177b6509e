"""``python -m tests.bench.triggers``: one message against 10,000 pending tasks, and adding a task.

Half of the tasks wait for 「好的」 and the like of a customer of their own, half for words of their
own of anybody. Messages are new texts each, by customers with and without a task.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from domain.tasks import Matching, Said, Trigger, TriggerKind, WatchedTask
from domain.triggers import TaskIndex

T = TypeVar("T")

AGREEMENTS = ("好的", "可以", "没问题", "ok", "行", "需要", "确认")
MESSAGES = (
    "好的",
    "好的,能开发票吗?{}",
    "不好的,{}先不要",
    "可以可以,那什么时候能发货{}",
    "请问{}多少钱,包邮吗?我在广东",
    "我昨天拍的那个{}到现在还没发货,麻烦帮我看一下物流到哪里了,谢谢",
    "已付款,订单号{}",
    "{}",
    "行吧 那就{}这个 尽快发我[OK]",
    "@客服 好的👌 {}",
)
SYLLABLES = (
    "木云山水风花月星石竹兰梅松鹤龙凤鱼鸟虎马羊牛犬兔江河湖海天地日光金银铜铁红橙黄绿青蓝紫白"
)


def word(number: int) -> str:
    """A word of its own for every number: the name of a product, a code."""
    base = len(SYLLABLES)
    return "".join(SYLLABLES[number // base**power % base] for power in range(4))


def task(number: int) -> WatchedTask:
    if number % 2:
        kind, customer = TriggerKind.SPECIFIED_CUSTOMER_REPLY, f"customer_{number}"
        trigger = Trigger(kind, (AGREEMENTS[number % len(AGREEMENTS)],), customer)
    else:
        matching = Matching.CONTAINS if number % 8 == 0 else Matching.AGREEMENT
        trigger = Trigger(TriggerKind.CUSTOMER_KEYWORD, (word(number),), matching=matching)
    return WatchedTask(f"task_{number}", trigger, 0.0)


def message(chance: random.Random, number: int, tasks: int) -> Said:
    text = chance.choice(MESSAGES).format(f"{word(chance.randrange(tasks))}{number}")
    customer = f"customer_{chance.randrange(tasks)}"
    return Said(customer, customer, text, 1.0)


class Taken(NamedTuple):
    """Milliseconds by the clock and of this thread alone: other processes disturb the former."""

    clock: float
    own: float


def measured(call: Callable[[T], object], values: Sequence[T]) -> list[Taken]:
    taken = []
    for value in values:
        begun, own = time.perf_counter(), time.thread_time()
        call(value)
        ended, own_ended = time.perf_counter(), time.thread_time()
        taken.append(Taken((ended - begun) * 1_000, (own_ended - own) * 1_000))
    return taken


def line(name: str, taken: Sequence[Taken]) -> str:
    clock = statistics.quantiles([one.clock for one in taken], n=100)
    own = statistics.quantiles([one.own for one in taken], n=100)
    slowest = max(one.own for one in taken)
    return f"| {name} | {clock[49]:.3f} | {clock[98]:.3f} | {own[98]:.3f} | {slowest:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--messages", type=int, default=10_000)
    options = parser.parse_args()
    chance = random.Random(7)
    index = TaskIndex()
    added = measured(index.add, [task(number) for number in range(options.tasks)])
    said = [message(chance, number, options.tasks) for number in range(options.messages)]
    index.matches(Said("", "", "预热 warm-up", 1.0))
    taken = measured(index.matches, said)
    long = [
        Said("", "", "".join(one.text for one in chance.sample(said, 150))[:4_000], 1.0)
        for _ in range(200)
    ]
    busy = TaskIndex(
        WatchedTask(f"own_{number}", Trigger(TriggerKind.CUSTOMER_REPLY, (word(number),), "c"), 0.0)
        for number in range(options.tasks)
    )
    shared = TaskIndex(
        WatchedTask(f"all_{number}", Trigger(TriggerKind.CUSTOMER_REPLY, ("好的",)), 0.0)
        for number in range(options.tasks)
    )
    fired = sum(bool(index.matches(one)) for one in said)
    print(f"{len(index):,} pending tasks, {len(said):,} messages, {fired:,} of them fire\n")
    print("| ms | p50 | p99 | p99 of CPU time | max of CPU time |\n|---|---|---|---|---|")
    print(line("one message", taken))
    print(line("one message of 4,000 characters", measured(index.matches, long)))
    own = [Said("c", "c", one.text, 1.0) for one in said[:2_000]]
    print(line("one message, all tasks of one customer", measured(busy.matches, own)))
    everyone = [Said("c", "c", "好的", 1.0)] * 20
    print(line("one message that fires all tasks", measured(shared.matches, everyone)))
    print(line("adding a task", added))
    gone = [f"task_{number}" for number in range(options.tasks)]
    print(line("taking a task out", measured(index.discard, gone)))


if __name__ == "__main__":
    main()
