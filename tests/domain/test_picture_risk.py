"""May this picture be worked on? Every row with its reason."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.decisions import RiskOutcome
from domain.errors import ConfigurationError
from domain.picture_risk import (
    PAPERS,
    TRADEMARKS,
    CustomerRecord,
    PictureDecision,
    assess_picture,
    parse_trademarks,
    together,
)
from domain.pictures import PictureFacts, PictureKind
from domain.pricing import PriceBook, quote, request_for

ROOT = Path(__file__).parents[2]
BOOK = PriceBook.parse((ROOT / "engine/defaults/price_book.yaml").read_text(encoding="utf-8"))
ACCEPT, CLARIFY = RiskOutcome.ACCEPT, RiskOutcome.CLARIFY
DECLINE, PERSON = RiskOutcome.DECLINE, RiskOutcome.HANDOFF
ANYBODY = CustomerRecord()

PHOTO = PictureFacts(
    sha256="0" * 64,
    size_bytes=200_000,
    format="JPEG",
    width=1200,
    height=900,
    sharpness=0.6,
    text_read=True,
)
LOGO = replace(PHOTO, kind=PictureKind.LOGO)
SCREEN = replace(PHOTO, kind=PictureKind.SCREENSHOT)
DOCUMENT = replace(PHOTO, kind=PictureKind.DOCUMENT)


def written(text: str, base: PictureFacts = PHOTO, **more: object) -> PictureFacts:
    return replace(base, text=text, text_chars=len(text), **more)  # type: ignore[arg-type]


def decide(
    facts: PictureFacts | None,
    request: str,
    service: str | None,
    *,
    customer: CustomerRecord = ANYBODY,
    hours: float | None = None,
    problem: str = "",
    quantity: int | None = None,
) -> PictureDecision:
    pictures = (facts,) if facts is not None else ()
    asked = request_for(pictures, request, service=service, quantity=quantity)
    return assess_picture(
        facts,
        request,
        BOOK.service(service or ""),
        quote(BOOK, asked) if service else None,
        book=BOOK,
        customer=customer,
        hours=hours,
        problem=problem,
    )


ID_FIELDS = "姓名 张样 性别 男 民族 汉 出生 1990年 住址 样本市"
RESUME = "个人简历 " + ID_FIELDS + " 教育经历 样本大学"
LICENCE = "营业执照 统一社会信用代码 0000 法定代表人 林某 注册资本 壹佰万元"
PAID = "转账给林某 -500.00 当前状态 支付成功 转账时间 2026-03-08"

ROWS = [
    # A clean picture and a request that the book sells.
    (PHOTO, "抠图", "cutout", ACCEPT, ""),
    (PHOTO, "证件照换底色", "id_photo", ACCEPT, ""),
    (written("可开发票 免费代办营业执照 加盖公章有效 咨询热线" * 3), "变清晰", "restore",
     ACCEPT, ""),
    # Documents, by what is printed on them.
    (written(f"{ID_FIELDS} 公民身份号码 1101"), "变清晰", "restore", DECLINE, "forbidden_picture"),
    (written("中华人民共和国 居民身份证 签发机关 样本市公安局"), "抠图", "cutout", DECLINE,
     "forbidden_picture"),
    (written(f"{ID_FIELDS} 110101199001011234"), "抠图", "cutout", DECLINE, "forbidden_picture"),
    (written("招商银行 银联 6225 8812 3456 7890 VALID THRU 08/29"), "变清晰", "restore", DECLINE,
     "forbidden_picture"),
    (written(LICENCE), "把图弄清晰", "restore", DECLINE, "forbidden_picture"),
    (written("中国人民银行 壹佰圆 100"), "抠图", "cutout", DECLINE, "forbidden_picture"),
    (written("电子发票 发票代码 01 价税合计 100.00"), "改字", "text_edit", DECLINE,
     "forbidden_picture"),
    (written("检验报告 委托单位 某某公司 检验结论 合格"), "改字", "text_edit", DECLINE,
     "forbidden_picture"),
    (written("毕业证书 学生林某 准予毕业"), "变清晰", "restore", DECLINE, "forbidden_picture"),
    # A payment record: proof that somebody paid, unless it is to be worked on.
    (written(PAID, SCREEN), "我付好了", None, PERSON, "payment_proof"),
    (written(PAID, SCREEN), "把金额改成5000", "text_edit", DECLINE, "forbidden_picture"),
    # What may be one goes to a person; what only looks like one does not.
    (written(ID_FIELDS), "变清晰", "restore", PERSON, "document_suspected"),
    (written(RESUME), "排版", "text_edit", ACCEPT, ""),
    (replace(DOCUMENT, marks=("portrait",)), "变清晰", "restore", PERSON, "document_suspected"),
    (written("云杉图文 工作证", DOCUMENT, marks=("portrait",)), "变清晰", "restore", ACCEPT, ""),
    (replace(DOCUMENT, text_read=False), "变清晰", "restore", PERSON, "document_suspected"),
    (written("在吗 在的亲", SCREEN), "把文字改一下", "text_edit", PERSON, "altered_record"),
    (written("在吗 在的亲", SCREEN), "变清晰", "restore", ACCEPT, ""),
    # Seals.
    (replace(PHOTO, marks=("seal",)), "把章抠出来", "cutout", DECLINE, "seal"),
    (written("样本市云杉有限公司", marks=("seal",)), "抠图", "cutout", DECLINE, "seal"),
    (written("合作协议 甲方 乙方 " * 20, marks=("seal",)), "变清晰", "restore", PERSON, "seal"),
    (replace(PHOTO, marks=("seal",)), "转矢量", "vector", PERSON, "seal"),
    (written("合同专用章"), "抠图", "cutout", PERSON, "seal"),
    # The request's words.
    (PHOTO, "p一个营业执照", "retouch", DECLINE, "forbidden_request"),
    (None, "做个公章", "logo", DECLINE, "forbidden_request"),
    # Other people's marks.
    (written("DISNEY", LOGO), "抠图", "cutout", PERSON, "trademark"),
    (written("NIKE"), "抠图", "cutout", ACCEPT, ""),
    (written("NIKE"), "转矢量图", "vector", PERSON, "trademark"),
    (PHOTO, "做一个和星巴克一样的logo", "logo", PERSON, "trademark"),
    (PHOTO, "高仿耐克的吊牌", "packaging", DECLINE, "counterfeit"),
    (written("legolas 123"), "转矢量图", "vector", ACCEPT, ""),
    # Good enough?
    (None, "抠图", "cutout", CLARIFY, "picture_missing"),
    (None, "设计logo", "logo", ACCEPT, ""),
    (replace(PHOTO, kind=PictureKind.BLANK), "抠图", "cutout", CLARIFY, "picture_blank"),
    (replace(PHOTO, width=90, height=80), "抠图", "cutout", CLARIFY, "too_small"),
    (replace(PHOTO, width=40, height=40), "变清晰", "restore", PERSON, "too_small"),
    (replace(PHOTO, sharpness=0.0), "转矢量图", "vector", CLARIFY, "too_blurred"),
    (replace(PHOTO, sharpness=0.0), "找原图", "find_image", CLARIFY, "too_blurred"),
    (replace(PHOTO, sharpness=0.0), "变清晰", "restore", PERSON, "too_blurred"),
    (replace(PHOTO, sharpness=0.0), "抠图", "cutout", CLARIFY, "too_blurred"),
    (replace(PHOTO, sharpness=0.0), "修图", "retouch", ACCEPT, ""),
    (replace(PHOTO, frames=8), "抠图", "cutout", CLARIFY, "animated"),
    (PHOTO, "在吗", None, CLARIFY, "unclear_request"),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "request_", "service", "outcome", "code"), ROWS)
def test_a_picture_is_judged_by_what_it_shows_and_what_is_asked(
    facts: PictureFacts | None,
    request_: str,
    service: str | None,
    outcome: RiskOutcome,
    code: str,
) -> None:
    found = decide(facts, request_, service)
    assert (found.outcome, found.reasons[0].code if found.reasons else "") == (outcome, code)
    assert all(reason.evidence and reason.template for reason in found.reasons)


def test_a_picture_that_nobody_could_read_is_asked_for_again_with_the_reason() -> None:
    found = decide(None, "抠图", "cutout", problem="文件已损坏")
    assert [(r.code, r.evidence, r.template) for r in found.reasons] == [
        ("picture_unreadable", "文件已损坏", "ask_readable_picture")
    ]


@pytest.mark.parametrize(
    ("customer", "code"),
    [
        (CustomerRecord("black"), "blacklist"),
        (CustomerRecord("gray", orders=5, refunds=2), "refund_pattern"),
        (CustomerRecord("gray", orders=0, refunds=2), "refund_pattern"),
        (CustomerRecord("white", orders=6, refunds=2), ""),
        (CustomerRecord("gray", orders=1, refunds=1), ""),
    ],
)
def test_some_customers_are_for_people(customer: CustomerRecord, code: str) -> None:
    found = decide(PHOTO, "抠图", "cutout", customer=customer)
    assert [reason.code for reason in found.reasons] == ([code] if code else [])
    assert found.outcome is (PERSON if code else ACCEPT)


@pytest.mark.parametrize(
    ("hours", "quantity", "outcome", "code"),
    [
        (None, 1, ACCEPT, ""),
        (2, 1, ACCEPT, ""),
        (1.5, 1, PERSON, "deadline_tight"),
        (0.5, 1, CLARIFY, "deadline_impossible"),
        (0, 1, CLARIFY, "deadline_past"),
        (2, 11, PERSON, "deadline_tight"),
        (4, 20, ACCEPT, ""),
    ],
)
def test_what_cannot_be_done_in_time_is_talked_about(
    hours: float | None, quantity: int, outcome: RiskOutcome, code: str
) -> None:
    found = decide(PHOTO, "抠图", "cutout", hours=hours, quantity=quantity)
    assert (found.outcome, found.reasons[0].code if found.reasons else "") == (outcome, code)


def test_a_high_price_waits_for_approval_and_only_when_nothing_else_is_open() -> None:
    found = decide(PHOTO, "抠图", "cutout", quantity=100)
    assert (found.outcome, found.desk) == (PERSON, "approver")
    assert found.reasons[0].evidence == "报价 640元，达到需审批的 500元"
    missing = decide(None, "抠图", "cutout", quantity=100)
    assert [reason.code for reason in missing.reasons] == ["picture_missing"]


def test_the_weightiest_reason_comes_first_and_none_is_lost() -> None:
    found = decide(
        replace(PHOTO, frames=3), "p公章", "retouch", customer=CustomerRecord("black"), hours=-1
    )
    codes = [reason.code for reason in found.reasons]
    assert codes == ["forbidden_request", "blacklist", "animated", "deadline_past"]
    assert (found.outcome, found.template) == (DECLINE, "decline_content")


def test_several_pictures_are_decided_by_the_strictest() -> None:
    fine, blank = decide(PHOTO, "抠图", "cutout"), replace(PHOTO, kind=PictureKind.BLANK)
    bad = decide(blank, "抠图", "cutout")
    assert together([fine, bad, bad]) == bad
    assert together([fine, fine]).outcome is ACCEPT
    assert together([]).outcome is ACCEPT


@pytest.mark.parametrize("paper", PAPERS, ids=[paper.name for paper in PAPERS])
def test_each_document_needs_its_title_and_its_fields(paper: object) -> None:
    named = next(one for one in PAPERS if one is paper)
    fields = [field for field in named.fields if field not in named.titles]
    whole = " ".join([named.titles[0], *fields[: named.least]])
    assert decide(written(whole), "变清晰", "restore").outcome is DECLINE
    assert decide(written(named.titles[0] + "咨询"), "变清晰", "restore").outcome is not DECLINE


def test_a_shop_may_bring_its_own_list_of_marks() -> None:
    own = parse_trademarks("[云杉, Spruce & Co]")
    found = assess_picture(
        PHOTO, "做个Spruce & Co的logo", BOOK.service("logo"), None, book=BOOK, trademarks=own
    )
    assert found.reasons[0].evidence == "要求里提到「spruce & co」，是他人商标"
    assert len(set(TRADEMARKS)) == len(TRADEMARKS)


@pytest.mark.parametrize("text", ["", "a: 1", "[1]", "[a]", "[", "['！！']"])
def test_a_wrong_list_of_marks_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="trademarks"):
        parse_trademarks(text)


_ORDER = [ACCEPT, CLARIFY, PERSON, DECLINE]


@settings(deadline=None)
@given(
    text=st.text(max_size=80)
    | st.lists(st.sampled_from(["姓名", "营业执照", "公章", "nike", "发票代码", "税额"])).map(
        " ".join
    ),
    request=st.text(max_size=40) | st.sampled_from(["抠图", "把章改掉", "做logo", "找原图"]),
    service=st.none() | st.sampled_from([service.id for service in BOOK.services]),
    kind=st.sampled_from(list(PictureKind)),
    sharpness=st.floats(0, 1),
    side=st.integers(1, 5_000),
    marks=st.sampled_from([(), ("seal",), ("portrait",)]),
    hours=st.none() | st.floats(-100, 1_000),
    refunds=st.integers(0, 5),
)
def test_the_outcome_is_the_strictest_of_its_reasons(
    text: str,
    request: str,
    service: str | None,
    kind: PictureKind,
    sharpness: float,
    side: int,
    marks: tuple[str, ...],
    hours: float | None,
    refunds: int,
) -> None:
    facts = written(text, kind=kind, sharpness=sharpness, width=side, height=side, marks=marks)
    record = CustomerRecord("gray", 5, refunds)
    found = decide(facts, request, service, customer=record, hours=hours)
    ranks = [_ORDER.index(reason.outcome) for reason in found.reasons]
    assert ranks == sorted(ranks, reverse=True)
    assert _ORDER.index(found.outcome) == max(ranks, default=0)
    assert all(reason.outcome is not ACCEPT for reason in found.reasons)
    people = [reason for reason in found.reasons if reason.outcome is PERSON]
    assert all(reason.desk for reason in people)
    assert found == decide(facts, request, service, customer=record, hours=hours)
