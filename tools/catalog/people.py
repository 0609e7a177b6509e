"""Whom a call is for: the context's customer, or the one that staff names.

A caller of role customer reaches its own contact only, whatever the arguments say.
"""

from sqlalchemy import Connection

from domain.errors import InvalidInput, NotFound
from storage.recipients import RecipientRow, find_recipient
from tools.registry import NotAllowed, Recipient, Role, ToolCall

FIELD = "customer_id"


async def recipient_of(call: ToolCall, customer_id: str = "") -> Recipient:
    """Raises NotFound, NotAllowed, or InvalidInput where nobody is meant."""
    if call.caller.role is Role.CUSTOMER:
        return await _themselves(call, customer_id)
    meant = call.recipient
    if meant is not None and customer_id in ("", meant.sender_id, meant.contact_id):
        return meant
    if not customer_id:
        raise InvalidInput(FIELD, "缺少该参数:当前调用没有对应的客户")
    found = await call.database.read(lambda c: _find(c, customer_id, meant))
    if found is None:
        raise NotFound(FIELD, customer_id)
    return _as_recipient(found, call)


async def reachable(call: ToolCall, customer_id: str = "") -> Recipient:
    """As `recipient_of`, and a message can be sent to them now."""
    meant = await recipient_of(call, customer_id)
    if not meant.pushes:
        raise _unreachable(meant)
    return meant


async def reachable_later(call: ToolCall, customer_id: str = "") -> Recipient:
    """As `recipient_of`, and their channel delivers by itself: a turn's answer is over by then."""
    meant = await recipient_of(call, customer_id)
    if meant.channel not in call.channels:
        raise _unreachable(meant)
    return meant


def _unreachable(meant: Recipient) -> InvalidInput:
    reason = f"渠道 {meant.channel} 不能主动发消息,只能在客户来信时回复"
    return InvalidInput(FIELD, reason)


async def _themselves(call: ToolCall, customer_id: str) -> Recipient:
    own = call.caller.contact_id
    if not own:
        raise NotAllowed(FIELD, "无法确认客户身份")
    meant = call.recipient
    if meant is None:
        row = await call.database.read(lambda c: find_recipient(c, own))
        meant = None if row is None else _as_recipient(row, call)
    if meant is not None and meant.contact_id != own:
        raise NotAllowed(FIELD, "只能操作本人的会话")
    if customer_id and customer_id != own and (meant is None or customer_id != meant.sender_id):
        raise NotAllowed(FIELD, "只能操作本人的会话")
    if meant is None:
        raise NotFound(FIELD, own)
    return meant


def _find(
    connection: Connection, customer_id: str, context: Recipient | None
) -> RecipientRow | None:
    """Two channels may use one id for two people: the context's own channel comes first."""
    near = context and find_recipient(
        connection, customer_id, channel=context.channel, account=context.account
    )
    return near or find_recipient(connection, customer_id)


def _as_recipient(row: RecipientRow, call: ToolCall) -> Recipient:
    return Recipient(
        conversation_id=row.conversation_id,
        channel=row.channel,
        account=row.account,
        chat_id=row.chat_id,
        sender_id=row.sender_id,
        contact_id=row.contact_id,
        name=row.name,
        pushes=row.channel in call.channels,
    )
