from importlib.resources import files

import pytest

from domain.errors import ConfigurationError
from tools.models.prices import NO_PRICES, Cost, parse_prices
from tools.models.providers import PRESETS

TABLE = """
models:
  Some-Model: {input: 2, output: 8, currency: CNY}
"""


def test_a_cost_is_tokens_times_the_price_of_a_million() -> None:
    # 1500 * 2 / 1e6 + 500 * 8 / 1e6
    assert parse_prices(TABLE).cost("some-model", 1500, 500) == Cost(0.007, "CNY")


@pytest.mark.parametrize("name", ["some-model-2026-08-07", "some-model-20260807", "SOME-MODEL"])
def test_a_dated_snapshot_costs_what_its_family_does(name: str) -> None:
    assert parse_prices(TABLE).price(name) == parse_prices(TABLE).price("some-model")


@pytest.mark.parametrize("name", ["some-model-pro", "other", ""])
def test_an_unknown_model_has_no_cost(name: str) -> None:
    assert parse_prices(TABLE).cost(name, 1, 1) is None
    assert NO_PRICES.cost(name, 1, 1) is None


@pytest.mark.parametrize(
    "text",
    [
        "models: {m: {input: -1, output: 1, currency: CNY}}",
        "models: {m: {input: 1, currency: CNY}}",
        "models: {m: {input: 1, output: 1, currency: yuan}}",
        "models: [",
        "",
    ],
)
def test_a_broken_table_names_the_fault(text: str) -> None:
    with pytest.raises(ConfigurationError, match="expected models"):
        parse_prices(text)


def test_the_table_in_the_box_knows_the_default_models_whose_price_is_published() -> None:
    text = files("engine").joinpath("defaults/model_prices.yaml").read_text("utf-8")
    table = parse_prices(text)
    unpriced = {name for name, preset in PRESETS.items() if not table.price(preset.model)}
    assert unpriced == {"gemini", "ernie", "custom"}
