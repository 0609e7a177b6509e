import pytest

from knowledge.goals import asks_for_another


@pytest.mark.parametrize(
    ("query", "wordings", "other"),
    [
        ("7kw充电桩多少钱", ["充满一辆车要多久"], True),
        ("7kw充电桩什么价", ["充满一辆车要多久", "充电慢吗"], True),
        ("安装要多久", ["安装怎么收费"], True),
        ("安装要多久", ["安装怎么收费", "安装要几天"], False),
        ("充电桩多少钱", ["7kW 充电桩价格"], False),
        ("充电桩能用吗", ["充满一辆车要多久"], False),
        ("充电桩多少钱", ["充电桩有几种"], False),
    ],
)
def test_how_much_is_not_how_long(query: str, wordings: list[str], other: bool) -> None:
    assert asks_for_another(query, wordings) is other
