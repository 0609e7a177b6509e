"""What customers read of their orders."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.decisions import Quote
from domain.order_words import changes_said, price_said, total_said
from domain.orders import Amendment
from graphs.orders import service_of
from graphs.templates import Templates
from storage.orders import OrderRow


@dataclass(frozen=True, slots=True)
class OrderWords:
    """``seed`` picks one of several wordings, as for `Templates.render`."""

    templates: Templates
    seed: str = ""

    def amended(
        self,
        order: OrderRow,
        amendments: Sequence[Amendment],
        *,
        now: Quote | None,
        before: Quote | None,
    ) -> str:
        """``now``: its price, None: nothing is said of it; ``before``: that until now."""
        price = price_said(now, before)
        return self.say("order_amended", order, changes=changes_said(amendments), price=price)

    def confirmed(self, order: OrderRow) -> str:
        price = f"，价格 {total_said(order.quote)}" if order.quote else ""
        return self.say("order_confirmed", order, price=price)

    def say(self, template: str, order: OrderRow, **fields: str) -> str:
        known = {"order": str(order.id), "service": service_of(order)}
        return self.templates.render(template, seed=self.seed, **known, **fields).rstrip()
