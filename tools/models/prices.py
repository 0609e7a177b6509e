"""What a call costs, from a table that the operator can edit."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from domain.errors import ConfigurationError

_SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|\d{4}|latest)$")
_PER = 1_000_000


class Price(BaseModel):
    """Per million tokens, in ``currency`` (ISO 4217)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    currency: str = Field(pattern="^[A-Z]{3}$")


class _PriceFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    models: dict[str, Price]


@dataclass(frozen=True, slots=True)
class Cost:
    amount: float
    currency: str


@dataclass(frozen=True, slots=True)
class PriceTable:
    prices: Mapping[str, Price]

    def price(self, model: str) -> Price | None:
        """The price of ``model``; a dated snapshot costs what its family does."""
        name = model.lower().removeprefix("models/")
        return self.prices.get(name) or self.prices.get(_SNAPSHOT.sub("", name))

    def cost(self, model: str, tokens_in: int, tokens_out: int) -> Cost | None:
        """None where the model's price is not known: never a guess."""
        price = self.price(model)
        if price is None:
            return None
        amount = (tokens_in * price.input + tokens_out * price.output) / _PER
        return Cost(amount, price.currency)


NO_PRICES = PriceTable({})


def parse_prices(text: str, *, source: str = "model prices") -> PriceTable:
    """Read ``models: {name: {input, output, currency}}``; raises ConfigurationError."""
    try:
        file = _PriceFile.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        expected = "models: {name: {input: 1.0, output: 2.0, currency: CNY}}"
        raise ConfigurationError(source, str(error), expected) from error
    return PriceTable({name.lower(): price for name, price in file.models.items()})
