"""What these tests send."""

from datetime import UTC, datetime

from tools.notify.protocol import StaffNotice

AT = datetime(2026, 11, 21, 13, 0, tzinfo=UTC)
TEXT = "用户:小明 (wm_1)\n问题:我要投诉!\n时间:2026-11-21 21:00\n\n请及时处理。"
NOTICE = StaffNotice("t_1:notice", "需要人工介入", TEXT, "high", "c_1", "complaint")
SEEN = f"🚨 需要人工介入\n\n{TEXT}"
HOSTILE = (
    '<at user_id="all"></at> <b>x</b> *_[a](http://x.example)_* `~>#+-=|{}.! \\ @desk '
    "\r\nBcc: a@b.example\r\n.\r\n&amp;"
)


def notice(text: str, title: str = "需要人工介入") -> StaffNotice:
    return StaffNotice("t_2:notice", title, text, "normal", "c_1", "human_request")
