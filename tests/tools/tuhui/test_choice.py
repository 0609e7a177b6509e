"""Who gets the next one: a table with the reason beside each row."""

from typing import Any

import pytest

from tools.tuhui.choice import Load, Offer, ranked

BOTH = Offer(("橘子", "婷婷"))


@pytest.mark.parametrize(
    ("offer", "load", "facts", "best"),
    [
        (BOTH, Load(), {}, ("橘子", "婷婷")),  # all equal: as Tuhui lists them
        (BOTH, Load(), {"wanted": "婷婷"}, ("婷婷", "橘子")),
        (BOTH, Load(), {"wanted": "不在"}, ("橘子", "婷婷")),  # who is not there is nobody
        (Offer(BOTH.online, "婷婷"), Load(), {}, ("婷婷", "橘子")),
        (Offer(BOTH.online, "婷婷"), Load(), {"wanted": "橘子"}, ("橘子", "婷婷")),  # wanted first
        (Offer(BOTH.online, "不在"), Load(), {}, ("橘子", "婷婷")),
        (BOTH, Load({"橘子": 2, "婷婷": 1}), {}, ("婷婷", "橘子")),  # who has less of ours
        (
            Offer(BOTH.online, "婷婷"),
            Load({"婷婷": 1}),
            {},
            ("橘子", "婷婷"),
        ),  # load, then suggestion
        (
            Offer(BOTH.online, "橘子"),
            Load({}, {"橘子": 9}),
            {},
            ("橘子", "婷婷"),
        ),  # then whose turn
        (BOTH, Load({}, {"橘子": 9, "婷婷": 4}), {}, ("婷婷", "橘子")),  # whose turn is longer ago
        (BOTH, Load({"婷婷": 1}, {"橘子": 9}), {}, ("橘子", "婷婷")),  # load before turn
        (BOTH, Load(), {"refused": ("橘子",)}, ("婷婷",)),
        (BOTH, Load(), {"refused": ("橘子", "婷婷")}, ()),
        (BOTH, Load(), {"wanted": "橘子", "refused": ("橘子",)}, ("婷婷",)),
        (BOTH, Load(), {"skills": {"橘子": {"layout"}}}, ("婷婷", "橘子")),  # unnamed: everything
        (Offer(BOTH.online, "橘子"), Load(), {"skills": {"橘子": {"layout"}}}, ("婷婷", "橘子")),
        (Offer(()), Load(), {"wanted": "橘子"}, ()),
    ],
)
def test_who_gets_it(
    offer: Offer, load: Load, facts: dict[str, Any], best: tuple[str, ...]
) -> None:
    assert ranked(offer, load, kinds={"image_process"}, **facts) == best
