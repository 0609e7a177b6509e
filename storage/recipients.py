"""Whom a customer's id means: the conversation in which that customer wrote last."""

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from storage.sealed import unseal
from storage.statements import Row, Statement


@dataclass(frozen=True, slots=True)
class RecipientRow:
    conversation_id: str
    channel: str
    account: str
    chat_id: str
    sender_id: str
    contact_id: str
    name: str


_COLUMNS = "id, channel, account, chat_id, sender_id, contact_id, customer_name"
_OF_CONVERSATION = Statement(f"SELECT {_COLUMNS} FROM conversations WHERE id = :id")  # noqa: S608
_FIND = """
    SELECT {columns} FROM conversations
    WHERE {column} = :customer
      AND (:channel = '' OR channel = :channel) AND (:account = '' OR account = :account)
    ORDER BY last_active_at DESC, id LIMIT 1
    """
_BY_SENDER = Statement(_FIND.format(columns=_COLUMNS, column="sender_id"))
_BY_CONTACT = Statement(_FIND.format(columns=_COLUMNS, column="contact_id"))


def find_recipient(
    connection: Connection, customer_id: str, *, channel: str = "", account: str = ""
) -> RecipientRow | None:
    """``customer_id``: as the channel names the sender, or a contact id (channel:account:sender).

    Of several conversations the one that was active last.
    """
    params = {"customer": customer_id, "channel": channel, "account": account}
    for statement in (_BY_CONTACT, _BY_SENDER):
        row = statement.first(connection, params)
        if row is not None:
            return recipient(connection, row)
    return None


def recipient(connection: Connection, row: Row) -> RecipientRow:
    """Of the columns of `RecipientRow`, the name as it is stored."""
    found = RecipientRow(*row)
    return replace(found, name=unseal(connection, found.name))


def recipient_in(
    connection: Connection, conversation_id: str, contact_id: str
) -> RecipientRow | None:
    """The one of this conversation; another of the contact's if it is gone."""
    row = _OF_CONVERSATION.first(connection, {"id": conversation_id})
    if row is not None:
        return recipient(connection, row)
    return find_recipient(connection, contact_id) if contact_id else None
