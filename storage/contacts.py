"""What is known of a customer whom a member has as a contact."""

from sqlalchemy import Connection

from storage.statements import Statement

_REMARK = Statement("SELECT remark FROM customers WHERE contact_id = :contact_id")


def remark_of(connection: Connection, contact_id: str) -> str:
    """Empty where nothing is known of the customer."""
    row = _REMARK.first(connection, {"contact_id": contact_id})
    return str(row[0] or "") if row is not None else ""
