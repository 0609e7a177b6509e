"""What callers of the campus surface read."""

from storage.desk import Place


def of_place(place: Place, status: str) -> str:
    if place.status == "taken":
        return "人工客服正在为你服务"
    if status == "offline":
        return f"人工客服当前不在线，已为你登记，上线后依次回复，你当前排队序号：{place.number}"
    return f"已转接人工客服，你当前排队序号：{place.number}"


NOT_WAITING = "你当前没有在排队"
EVERYTHING_SAVED = "已保存"
EVERYTHING_REMOVED = "已删除"
STAFF_ONLY = "只有客服人员可以使用"
PAIR_POSITION = "自定义问答"
PAIR_SAVED_NOTE = "保存自定义问答"
PAIR_REMOVED_NOTE = "删除自定义问答"
