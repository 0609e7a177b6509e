"""How customers of customer service call themselves, as far as nobody has said otherwise."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, text

from storage.kf import CHANNEL
from storage.sealed import name_index, seal
from storage.statements import Statement

_UNNAMED = text(
    "SELECT DISTINCT sender_id FROM conversations WHERE sender_id IN :customers"
    " AND channel = :channel AND customer_name = ''"
).bindparams(bindparam("customers", expanding=True))
_NAME = Statement(
    "UPDATE conversations SET customer_name = :name, name_index = :index"
    " WHERE sender_id = :customer AND channel = :channel AND customer_name = ''"
)
_NAME_CUSTOMER = Statement(
    """
    UPDATE customers SET name = :name, name_index = :index WHERE name = '' AND contact_id IN (
        SELECT contact_id FROM conversations WHERE sender_id = :customer AND channel = :channel)
    """
)


def unnamed(connection: Connection, customers: Sequence[str]) -> list[str]:
    """Those of ``customers`` whose conversations have no name, in their order."""
    values = {"customers": list(customers), "channel": CHANNEL}
    found = {row[0] for row in connection.execute(_UNNAMED, values)}
    return [one for one in customers if one in found]


def name(connection: Connection, customer: str, name: str) -> None:
    """What somebody has written there stays."""
    sealed = {"name": seal(connection, name), "index": name_index(connection, name)}
    values = sealed | {"customer": customer, "channel": CHANNEL}
    _NAME.run(connection, values)
    _NAME_CUSTOMER.run(connection, values)
