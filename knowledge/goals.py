"""What a question asks for, where its words say so: how long is not how much."""

import re
from collections.abc import Iterable

_GOALS = {
    "time": "多久|多长时间|几天|几个?小时|多少天|几个月|什么时候|啥时候|何时|几点|多快",
    "price": "多少钱|什么价|啥价|价格|价钱|报价|收费|咋卖|怎么卖|几块",
}
_PATTERNS = {goal: re.compile(pattern) for goal, pattern in _GOALS.items()}


def goals_of(text: str) -> frozenset[str]:
    return frozenset(goal for goal, pattern in _PATTERNS.items() if pattern.search(text))


def asks_for_another(query: str, wordings: Iterable[str]) -> bool:
    """Whether the query says what it asks for, and the wordings all say something else."""
    wanted = goals_of(query)
    if not wanted:
        return False
    offered = frozenset[str]().union(*map(goals_of, wordings))
    return bool(offered) and not offered & wanted
