"""What a message wants, and what kind of talk that makes it."""

from enum import StrEnum


class DialogueType(StrEnum):
    """Seed 003: chat keeps 1 turn of context, consult 5, business 3."""

    CHAT = "chat"
    CONSULT = "consult"
    BUSINESS = "business"


class Intent(StrEnum):
    GREETING = "greeting"
    THANKS = "thanks"
    FAREWELL = "farewell"
    SMALLTALK = "smalltalk"
    PRODUCT = "product"
    PRICE = "price"
    USAGE = "usage"
    FAULT = "fault"
    SHOP_INFO = "shop_info"
    FIND_IMAGE = "find_image"
    PROCESS_IMAGE = "process_image"
    ORDER_STATUS = "order_status"
    PAYMENT = "payment"
    AFTER_SALE = "after_sale"
    COMPLAINT = "complaint"
    HUMAN = "human"
    CONFIRM = "confirm"
    OTHER = "other"


class Sentiment(StrEnum):
    POSITIVE = "positive"
    NEUTRAL = "neutral"
    NEGATIVE = "negative"


DIALOGUE_TYPE: dict[Intent, DialogueType] = {
    Intent.GREETING: DialogueType.CHAT,
    Intent.THANKS: DialogueType.CHAT,
    Intent.FAREWELL: DialogueType.CHAT,
    Intent.SMALLTALK: DialogueType.CHAT,
    Intent.CONFIRM: DialogueType.CHAT,
    Intent.OTHER: DialogueType.CONSULT,
    Intent.PRODUCT: DialogueType.CONSULT,
    Intent.PRICE: DialogueType.CONSULT,
    Intent.USAGE: DialogueType.CONSULT,
    Intent.FAULT: DialogueType.CONSULT,
    Intent.SHOP_INFO: DialogueType.CONSULT,
    Intent.FIND_IMAGE: DialogueType.BUSINESS,
    Intent.PROCESS_IMAGE: DialogueType.BUSINESS,
    Intent.ORDER_STATUS: DialogueType.BUSINESS,
    Intent.PAYMENT: DialogueType.BUSINESS,
    Intent.AFTER_SALE: DialogueType.BUSINESS,
    Intent.COMPLAINT: DialogueType.BUSINESS,
    Intent.HUMAN: DialogueType.BUSINESS,
}

CONTEXT_TURNS: dict[DialogueType, int] = {
    DialogueType.CHAT: 1,
    DialogueType.CONSULT: 5,
    DialogueType.BUSINESS: 3,
}
