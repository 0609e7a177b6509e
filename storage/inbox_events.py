"""Events that we put into a conversation's inbox ourselves: a person's word for the next turn."""

from sqlalchemy import Connection

from domain.messages import InboundMessage, MessageKind
from storage import inbox
from storage.statements import Statement

# By the route of the customer's last message, so that what the turn says goes the same way.
_LAST = Statement(
    """
    SELECT c.channel, c.account, c.chat_id, c.sender_id, m.route FROM conversations c
    JOIN messages m ON m.conversation_id = c.id WHERE c.id = :id AND m.role = 'user'
    ORDER BY m.id DESC LIMIT 1
    """
)


def put_event(
    connection: Connection, conversation: str, event: str, *, message_id: str, now: float
) -> bool:
    """``event`` for the next turn, once per ``message_id``. False where the customer has never
    written, so that there is nobody to go on with."""
    row = _LAST.first(connection, {"id": conversation})
    if row is None:
        return False
    channel, account, chat_id, sender_id, route = row
    message = InboundMessage(
        channel=channel,
        account=account,
        channel_message_id=message_id,
        chat_id=chat_id,
        sender_id=sender_id,
        text="",
        kind=MessageKind.EVENT,
        received_at=now,
        sent_at=now,
        route=route,
        event=event,
    )
    inbox.receive(connection, message)
    return True
