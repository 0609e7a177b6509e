"""For every picture of the suite: what a customer asks, the quote, the decision.

The table in ``picture_decisions.md`` is for shop owners to read. ``python -m
tests.domain.test_picture_decisions`` writes it anew; look at what changed before committing.
"""

from datetime import datetime
from pathlib import Path

from domain.deadlines import hours_left
from domain.decisions import RiskOutcome
from domain.picture_risk import CustomerRecord, PictureDecision, assess_picture
from domain.pictures import PictureFacts
from domain.pricing import (
    PriceBook,
    QuoteRequest,
    as_points,
    find_service,
    format_yuan,
    quote,
    request_for,
)
from tests.domain.picture_facts import coarse, recorded
from tests.tools.pictures.making import PICTURES
from tools.pictures.decoding import Limits
from tools.pictures.inspect import inspect

ROOT = Path(__file__).parents[2]
BOOK = PriceBook.parse((ROOT / "engine/defaults/price_book.yaml").read_text(encoding="utf-8"))
TABLE = Path(__file__).with_name("picture_decisions.md")

ASKED: dict[str, list[str]] = {
    "poster_slogan": ["把背景去掉", "把上面的字改成夏季上新"],
    "poster_event": ["改字，时间换成下午两点"],
    "poster_text_heavy": ["这张图处理一下多少钱", "照着重做一张一模一样的图", "海报转矢量图"],
    "poster_text_flood": ["改文字", "图片变清晰"],
    "menu_short": ["改价格，牛肉面改成30", "转矢量图"],
    "menu_long": ["菜单排版多少钱", "图上的价格改一下"],
    "flyer_tutoring": ["改字，加急"],
    "letter_page": ["把这页弄清晰"],
    "business_card": ["图片改字，换个电话", "做一款名片"],
    "product_strip": ["图片变清晰"],
    "wide_banner": ["转矢量图"],
    "poster_low_contrast": ["图片变清晰"],
    "poster_turned": ["把上面的字改一下，改文字"],
    "photo_with_caption": ["把图上的字去掉，去文字"],
    "photo_blurred": ["这张照片能弄清晰吗", "找原图", "转矢量图", "抠图"],
    "photo_slightly_soft": ["照片变清晰"],
    "portrait_blurred": ["照片变清晰", "证件照换蓝底"],
    "poster_blurred": ["图片变清晰", "找原图"],
    "photo_tiny": ["照片放大变清晰", "找原图", "精修一下，修图"],
    "icon_tiny": ["转矢量图", "变清晰", "找原图"],
    "photo_overcompressed": ["照片变清晰"],
    "photo_enlarged": ["照片变清晰"],
    "photo_noisy": ["照片变清晰"],
    "photo_dark": ["照片调色"],
    "photo_low_contrast": ["照片调色"],
    "noise_only": ["找原图"],
    "blank_white": ["抠图"],
    "blank_scan": ["图片变清晰"],
    "id_card": ["照片变清晰", "把身份证上的名字改一下"],
    "id_card_back": ["抠图"],
    "work_badge": ["照片变清晰"],
    "business_licence": ["图片变清晰", "改字，公司名换一个"],
    "diploma": ["照着重做一张一模一样的图"],
    "contract_with_seal": ["图片变清晰", "把章抠出来，抠图"],
    "seal_alone": ["抠图，做成透明底"],
    "banknote": ["抠图"],
    "transfer_screenshot": ["我已经付款了", "图片改字，金额改成5000"],
    "brand_logo": ["转矢量图", "抠图"],
    "photo_landscape": ["抠图", "找原图", "帮我看看", "这张图多少钱"],
    "photo_large": ["修图", "照片变清晰，2小时内要", "照片变清晰，半小时内要"],
    "photo_portrait": ["证件照换蓝底", "人像精修", "抠图，头发丝要干净"],
    "photo_fabric": ["找同款图"],
    "photo_product": ["抠图，白底图", "抠图100张", "高仿耐克，抠图"],
    "photo_gray": ["黑白照片上色"],
    "photo_cmyk": ["修图"],
    "photo_webp": ["p图，去掉路人"],
    "photo_tiff": ["照片变清晰"],
    "photo_bmp": ["去背景"],
    "photo_palette": ["照片变清晰"],
    "gray_16_bit": ["照片变清晰"],
    "photo_turned": ["人像精修"],
    "animated": ["抠图", "找原图"],
    "logo_flat": ["转矢量图", "抠图"],
    "logo_transparent": ["改颜色"],
    "logo_with_name": ["转矢量图", "照着这个设计一个logo"],
    "logo_small_jpeg": ["转矢量图"],
    "screenshot_chat": ["图片变清晰", "图片改字，把二十五改成十五", "找原图"],
    "screenshot_desktop": ["把截图变清晰"],
    "largest_allowed": ["转矢量图", "图片变清晰"],
}
REFUSED = "抠图"
NOW = datetime(2026, 3, 5, 14, 0)
CUSTOMERS = {
    "white": CustomerRecord("white", orders=12),
    "black": CustomerRecord("black", orders=3),
    "gray，6 单退 3 单": CustomerRecord("gray", orders=6, refunds=3),
}
"""How the same request fares with other customers than a new one."""

_OUTCOMES = {
    RiskOutcome.ACCEPT: "接单",
    RiskOutcome.CLARIFY: "先问",
    RiskOutcome.DECLINE: "婉拒",
    RiskOutcome.HANDOFF: "转人工",
}
_DESKS = {"": "", "designer": "（设计师）", "staff": "（客服）", "approver": "（审批）"}
_HEAD = """# 图片、要求、报价和决定

每行一张测试图片和客户的一句话。「清晰」为实测清晰度（满分 100），「字」为识别到的字数。
由 `python -m tests.domain.test_picture_decisions` 生成，测试会与它比较。

| 图片 | 格式 尺寸 | 类型 | 清晰 | 字 | 客户说 | 报价 | 决定 | 依据 |
|---|---|---|---|---|---|---|---|---|
"""


def table() -> str:
    facts, refused = recorded()
    rows = [_row(name, facts[name], text) for name, texts in ASKED.items() for text in texts]
    rows += [
        _row("photo_landscape", facts["photo_landscape"], "抠图", who, record)
        for who, record in CUSTOMERS.items()
    ]
    rows += [_refused_row(name, problem) for name, problem in refused.items()]
    return _HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(
    name: str,
    facts: PictureFacts,
    text: str,
    who: str = "",
    customer: CustomerRecord = CustomerRecord(),  # noqa: B008
) -> list[str]:
    asked = request_for([facts], text, level=customer.level)
    service, offered = BOOK.service(find_service(BOOK, asked) or ""), quote(BOOK, asked)
    hours = hours_left(text, NOW)
    found = assess_picture(facts, text, service, offered, book=BOOK, customer=customer, hours=hours)
    marks = f" {'+'.join(facts.marks)}" if facts.marks else ""
    priced = "—"
    if offered is not None:
        extra = "，".join(f"{x.label} {format_yuan(x.amount)}" for x in offered.items[1:])
        start = "起" if offered.estimate else ""
        priced = f"{offered.service_name} {format_yuan(offered.total)}{start}"
        priced += f"（{extra}）" if extra else ""
    return [
        name,
        f"{facts.format} {facts.width}×{facts.height}",
        facts.kind.value + marks,
        str(round(as_points(facts.sharpness), -1)),
        str(facts.text_chars),
        text + (f" 【{who}】" if who else ""),
        priced,
        *_decided(found),
    ]


def _refused_row(name: str, problem: str) -> list[str]:
    asked = QuoteRequest(REFUSED, has_image=True)
    service = BOOK.service(find_service(BOOK, asked) or "")
    offered = quote(BOOK, asked)
    found = assess_picture(None, REFUSED, service, offered, book=BOOK, problem=problem)
    return [name, "无法读取", "—", "—", "—", REFUSED, "—", *_decided(found)]


def _decided(found: PictureDecision) -> list[str]:
    reasons = "；".join(reason.evidence for reason in found.reasons)
    return [_OUTCOMES[found.outcome] + _DESKS[found.desk], reasons or "—"]


def test_decisions_about_the_pictures_are_those_that_a_shop_owner_has_read() -> None:
    assert table() == TABLE.read_text(encoding="utf-8")


def test_there_is_a_decision_for_every_recorded_picture() -> None:
    facts, refused = recorded()
    assert set(ASKED) == set(facts) <= set(PICTURES)
    assert len(facts) + len(refused) >= 40


def test_pictures_measured_now_are_like_their_recorded_facts() -> None:
    facts, _ = recorded()
    for name in (
        "photo_blurred",
        "photo_cmyk",
        "animated",
        "icon_tiny",
        "seal_alone",
        "blank_white",
    ):
        seen, known = coarse(inspect(PICTURES[name](), "", Limits())), facts[name]
        assert abs(seen.sharpness - known.sharpness) <= 0.03
        assert (seen.format, seen.width, seen.height, seen.frames, seen.marks) == (
            known.format, known.width, known.height, known.frames, known.marks
        )  # fmt: skip


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
