"""Addresses and tickets: calls that belong to no part."""

import secrets

from pydantic import Field

from sandbox.wx.calls import BOTH, GET, Body, Clock, Endpoint, JsonObject, Nothing, Setting

TICKET_SECONDS = 7_200


class Addresses(Setting):
    """Where callbacks are said to come from."""

    ip_list: tuple[str, ...] = Field(default=("127.0.0.1", "::1"), max_length=1_000)


class WhichTicket(Body):
    type: str = ""


class Basics:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.addresses = Addresses()
        self._tickets: dict[str, tuple[str, float]] = {}

    def endpoints(self) -> tuple[Endpoint, ...]:
        return (
            Endpoint("getcallbackip", Nothing, self.callback_addresses, GET),
            Endpoint("get_api_domain_ip", Nothing, self.api_addresses, GET),
            Endpoint("get_jsapi_ticket", WhichTicket, self.ticket, GET),
            Endpoint("ticket/get", WhichTicket, self.ticket, BOTH),
        )

    def callback_addresses(self, _: Nothing) -> JsonObject:
        return {"ip_list": self.addresses.ip_list}

    def api_addresses(self, _: Nothing) -> JsonObject:
        return {"ip_list": ["127.0.0.1"]}

    def ticket(self, wanted: WhichTicket) -> JsonObject:
        """The same one until it expires."""
        now = self._clock.now()
        ticket, expires_at = self._tickets.get(wanted.type, ("", 0.0))
        if expires_at <= now:
            ticket, expires_at = secrets.token_urlsafe(48), now + TICKET_SECONDS
            self._tickets[wanted.type] = (ticket, expires_at)
        return {"ticket": ticket, "expires_in": int(expires_at - now)}

    async def set_addresses(self, wanted: Addresses) -> JsonObject:
        self.addresses = wanted
        return wanted.model_dump()

    def clear(self) -> None:
        self.addresses = Addresses()
        self._tickets.clear()
