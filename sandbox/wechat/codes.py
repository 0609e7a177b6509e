"""The official account's codes (reference wechat_official.md, 11), and how it says them."""

import re
import secrets

from sandbox.wx.calls import JsonObject, Refused

BUSY, BAD_SECRET_OR_TOKEN, BAD_GRANT, BAD_OPENID, BAD_MEDIA_KIND = -1, 40001, 40002, 40003, 40004
BAD_MESSAGE_TYPE, BAD_APPID, BAD_TOKEN, BAD_CHARSET = 40008, 40013, 40014, 40033
BAD_TEMPLATE, BAD_TICKET_TYPE, BAD_APPSECRET = 40037, 40097, 40125
BAD_IP, BAD_ACCOUNT_TYPE = 40164, 40200
NO_TOKEN, NO_APPID, NO_SECRET, EXPIRED_TOKEN = 41001, 41002, 41004, 42001
MUST_FOLLOW, BLACKLISTED, EMPTY_TEXT, TOO_LONG = 43004, 43019, 44004, 45002
TOO_MANY_ARTICLES, DAILY_QUOTA, TOO_OFTEN = 45008, 45009, 45011
WINDOW_CLOSED, QUOTA_SPENT, BAD_COMMAND, NO_TYPING, TYPING_ALREADY = (
    45015,
    45047,
    45072,
    45080,
    45081,
)
BAD_JSON, BAD_ARGUMENT, NOT_AUTHORISED = 47001, 47003, 48001

_ESCAPED = re.compile(rb"(?<!\\)(?:\\\\)*\\u(?!00[01])[0-9a-fA-F]{4}")


def refusal(code: int, reason: str) -> JsonObject:
    """With the id of the request that real servers add, for nobody to match on the text."""
    rid = f"{secrets.token_hex(4)}-{secrets.token_hex(4)}-{secrets.token_hex(4)}"
    return {"errcode": code, "errmsg": f"{reason} rid: {rid}"}


def refuse_escapes(body: bytes) -> None:
    """JSON of escapes only is not taken; those of control characters have no other form. Raises
    Refused."""
    if _ESCAPED.search(body):
        raise Refused(BAD_CHARSET, "invalid charset. please check your request", "form")
