"""WeCom's codes, and how it says them."""

import secrets

from sandbox.wx.calls import JsonObject

BUSY, BAD_SECRET, BAD_USERID = -1, 40001, 40003
BAD_MEDIA_ID, BAD_MESSAGE_TYPE, BAD_CORP_ID, BAD_TOKEN, BAD_AGENT = (
    40007,
    40008,
    40013,
    40014,
    40056,
)
BAD_PARAMETER, BAD_TAG, TAG_EXISTS, BAD_CUSTOMER, NO_TOKEN = 40058, 40068, 40071, 40096, 41001
BAD_WELCOME_CODE, WELCOMED, WELCOME_IN_USE, EXPIRED_TOKEN = 41050, 41051, 41096, 42001
EMPTY_CONTENT, TOO_LARGE_CONTENT = 44004, 45002
TOO_OFTEN, UNKNOWN_USER, NOBODY_LEFT, NO_RELATION = 45009, 60111, 81013, 84061
BAD_OPEN_KFID, KF_QUOTA, KF_WINDOW, NO_OPEN_KFID, BAD_SYNC_TOKEN = 95000, 95001, 95002, 95004, 95007
TOO_MANY_ITEMS, BAD_ITEM, NO_SERVICER, BAD_TRANSITION = 95008, 95009, 95014, 95016
BAD_SESSION_STATE, SERVICER_STOPPED = 95018, 95019


def refusal(code: int, reason: str) -> JsonObject:
    """With the hint that real servers add, for nobody to match on the text."""
    link = f"more info at https://open.work.weixin.qq.com/devtool/query?e={code}"
    hint = f"hint: [{secrets.token_hex(12)}], from ip: 127.0.0.1, {link}"
    return {"errcode": code, "errmsg": f"{reason}, {hint}"}
