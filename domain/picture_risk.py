"""Is this picture to be worked on? Its facts, the request, the price and the customer in; out comes
accept, ask back, decline or a person, with reasons. Pure.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Literal

import yaml
from pydantic import TypeAdapter, ValidationError

from domain.decisions import Quote, RiskOutcome
from domain.errors import ConfigurationError
from domain.pictures import PictureFacts, PictureKind
from domain.pricing import PriceBook, Service, Words, approval_reasons, as_points
from domain.risk import forbidden_work
from domain.text import fold, letters
from domain.tiers import limits_of

SEAL, PORTRAIT = "seal", "portrait"
"""What `PictureFacts.marks` calls them."""

Desk = Literal["", "designer", "staff", "approver"]

ACCEPT, CLARIFY = RiskOutcome.ACCEPT, RiskOutcome.CLARIFY
DECLINE, PERSON = RiskOutcome.DECLINE, RiskOutcome.HANDOFF
_SEVERITY = (ACCEPT, CLARIFY, PERSON, DECLINE)


@dataclass(frozen=True, slots=True)
class Reason:
    """``evidence``: what was seen, in Chinese. ``template``: what the customer reads, which may
    say {evidence}. ``desk``: which person takes over."""

    code: str
    evidence: str
    outcome: RiskOutcome
    template: str
    desk: Desk = ""


@dataclass(frozen=True, slots=True)
class PictureDecision:
    """``reasons``: the weightiest first; empty where there is nothing against it."""

    outcome: RiskOutcome
    reasons: tuple[Reason, ...] = ()

    @property
    def template(self) -> str:
        """What to tell the customer; "" where the quote or the work speaks for itself."""
        return self.reasons[0].template if self.reasons else ""

    @property
    def desk(self) -> Desk:
        return self.reasons[0].desk if self.reasons else ""


@dataclass(frozen=True, slots=True)
class CustomerRecord:
    """``orders`` and ``refunds``: of lately, finished orders and those paid back."""

    level: str = "gray"
    orders: int = 0
    refunds: int = 0


@dataclass(frozen=True, slots=True)
class CustomerLimits:
    """A refund pattern: at least ``refunds``, and of at least ``share_percent`` of the orders."""

    refunds: int = 2
    share_percent: int = 40


def assess_picture(
    facts: PictureFacts | None,
    request: str,
    service: Service | None,
    offered: Quote | None,
    *,
    book: PriceBook,
    customer: CustomerRecord = CustomerRecord(),
    hours: float | None = None,
    problem: str = "",
    trademarks: tuple[str, ...] = (),
    limits: CustomerLimits = CustomerLimits(),
) -> PictureDecision:
    """``facts`` None: no picture, or (``problem`` says why, in Chinese) one that nobody could read.

    ``hours``: how soon it is wanted. ``trademarks`` empty: `TRADEMARKS`.
    """
    reasons = [
        *_content(facts, request, service),
        *_marks(facts, request, service, trademarks or TRADEMARKS),
        *_customer(customer, limits),
        *_feasible(facts, service, problem),
        *_in_time(service, offered, hours),
    ]
    # A price that may still change with a better picture is nothing to approve yet.
    if not reasons and offered is not None:
        reasons += _approval(book, offered)
    return _decision(reasons)


def together(decisions: Sequence[PictureDecision]) -> PictureDecision:
    """One decision about the pictures of one order: the strictest."""
    return _decision(dict.fromkeys(reason for one in decisions for reason in one.reasons))


def _decision(reasons: Iterable[Reason]) -> PictureDecision:
    ordered = sorted(reasons, key=lambda reason: -_SEVERITY.index(reason.outcome))
    return PictureDecision(ordered[0].outcome if ordered else ACCEPT, tuple(ordered))


# ---- content ----


@dataclass(frozen=True, slots=True)
class Paper:
    """A kind of document, known by one of its ``titles`` and ``least`` of its ``fields``."""

    name: str
    titles: tuple[str, ...]
    fields: tuple[str, ...]
    least: int = 1


PAYMENT = "转账或付款记录"
PAPERS = (
    Paper("身份证", ("公民身份号码", "居民身份证"),
          ("姓名", "性别", "民族", "出生", "住址", "签发机关", "有效期限", "公安局")),
    Paper("营业执照", ("营业执照",),
          ("统一社会信用代码", "法定代表人", "注册资本", "经营范围", "登记机关", "成立日期"), 2),
    Paper("人民币", ("中国人民银行",), ("圆", "佰", "拾", "伍", "壹", "年版")),
    Paper("发票", ("发票代码", "发票号码", "增值税专用发票", "增值税普通发票", "电子发票"),
          ("价税合计", "购买方", "销售方", "开票人", "纳税人识别号", "税额", "开票日期")),
    Paper("检测报告", ("检测报告", "检验报告", "质检报告", "鉴定报告"),
          ("结论", "委托单位", "样品", "检测机构", "报告编号", "检验员", "检测依据", "检验依据")),
    Paper("病历或诊断证明", ("诊断证明", "病历", "出院小结", "处方笺", "化验单"),
          ("医师", "科别", "科室", "门诊号", "住院号", "主诉", "建议休息")),
    Paper("学历或资格证书", ("毕业证书", "学位证书", "结业证书", "资格证书", "执业证书"),
          ("准予毕业", "授予", "学制", "修业", "证书编号", "校长", "发证机关", "成绩合格")),
    Paper("护照", ("护照", "passport"),
          ("签发机关", "签发地点", "国籍", "nationality", "dateofbirth", "dateofissue")),
    Paper("驾驶证或行驶证", ("机动车驾驶证", "机动车行驶证", "车辆识别代号"),
          ("证号", "准驾车型", "初次领证", "号牌号码", "发动机号码", "有效期限")),
    Paper("户口本", ("常住人口登记卡", "居民户口簿"), ("户主", "户别", "户号", "籍贯")),
    Paper("不动产证", ("不动产权证书", "房屋所有权证"),
          ("权利人", "不动产单元号", "共有情况", "坐落")),
    Paper("结婚证", ("结婚证", "离婚证"), ("持证人", "登记日期", "字号", "登记机关")),
    Paper(PAYMENT, ("转账成功", "支付成功", "付款成功", "交易成功", "转账给"),
          ("转账时间", "支付时间", "支付方式", "付款方式", "交易单号", "商户单号", "转账单号",
           "收款方", "当前状态"), 2),
)  # fmt: skip
"""What no shop may restore, alter or copy, by what is printed on it. A poster that only mentions
one of them has no such fields."""

_PERSONAL = ("姓名", "性别", "民族", "出生", "住址")
_ID_NUMBER = re.compile(r"(?<!\d)[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])[0-3]\d{4}[\dx]")
_FORMS = ("简历", "求职", "教育经历", "工作经历", "报名表", "登记表")
_CARD_NUMBER = re.compile(r"(?<!\d)[3-6]\d{3}(?: ?\d{4}){2,3} ?\d{1,4}(?!\d)")
_CARD_WORDS = ("银联", "unionpay", "validthru", "储蓄卡", "借记卡", "信用卡", "debit", "creditcard")
_SEAL_WORDS = ("公章", "合同专用章", "财务专用章", "发票专用章", "业务专用章")
_SEAL_OWNERS = ("有限公司", "专用", "管理局", "委员会", "公安", "人民政府", "工作室合同")
_SEAL_CHARS = 40
"""A stamp alone has no more to say."""
_OPEN_CARDS = ("工作证", "工牌", "胸牌", "参会证", "会员卡", "名片", "代表证", "嘉宾证")
_ALTERS = re.compile(
    r"(?:改|换|p|去掉?|抹|涂|删|变)[^,。!?]{0,8}(?:字|名|金额|数字|日期|时间|电话|价格|数|钱|号|头像|记录)"
    r"|(?:金额|名字|日期|时间|数字|号码|电话|价格|文字|头像)[^,。!?]{0,6}(?:改|换|p|去掉|抹|删)"
)


def _content(facts: PictureFacts | None, request: str, service: Service | None) -> Iterator[Reason]:
    if word := forbidden_work(request):
        yield _declined("forbidden_request", f"客户的要求里提到「{word}」")
    if facts is None:
        return
    said = letters(facts.text)
    known = _paper(said) or _bank_card(facts.text, said)
    if known and known[0] == PAYMENT and service is None and not _ALTERS.search(fold(request)):
        evidence = "图片是付款记录，客户没有要求处理它"
        yield Reason("payment_proof", evidence, PERSON, "handoff", "staff")
        return
    if known:
        yield _declined("forbidden_picture", f"图片文字像{known[0]}：{'、'.join(known[1])}")
        return
    yield from _seal(facts, request, said)
    yield from _suspected(facts, request, said)


def _paper(said: str) -> tuple[str, list[str]] | None:
    for paper in PAPERS:
        titles = [word for word in paper.titles if word in said]
        fields = [word for word in paper.fields if word in said and word not in titles]
        if titles and len(fields) >= paper.least:
            return paper.name, [*titles[:1], *fields[:3]]
    personal = [word for word in _PERSONAL if word in said]
    if len(personal) >= 2 and _ID_NUMBER.search(said):
        return "身份证", [*personal[:3], "18 位身份号码"]
    return None


def _bank_card(text: str, said: str) -> tuple[str, list[str]] | None:
    words = [word for word in _CARD_WORDS if word in said]
    if words and _CARD_NUMBER.search(fold(text)):
        return "银行卡", ["卡号", *words[:2]]
    return None


def _seal(facts: PictureFacts, request: str, said: str) -> Iterator[Reason]:
    words = [word for word in _SEAL_WORDS if word in said]
    if SEAL not in facts.marks:
        if words and facts.text_chars <= _SEAL_CHARS:
            evidence = f"图片文字只有「{words[0]}」等 {facts.text_chars} 字"
            yield Reason("seal", evidence, PERSON, "handoff_document", "staff")
        return
    owners = [word for word in _SEAL_OWNERS if word in said]
    about_it = "章" in request
    if about_it or words or (owners and facts.text_chars <= _SEAL_CHARS):
        seen = f"，文字有「{(words or owners)[0]}」" if words or owners else ""
        asked = "，要求涉及章" if about_it else ""
        yield _declined("seal", f"图片上有印章{seen}{asked}")
    else:
        yield Reason("seal", "图片上有红色印章", PERSON, "handoff_document", "staff")


def _suspected(facts: PictureFacts, request: str, said: str) -> Iterator[Reason]:
    """What may be a document, though nothing proves it."""
    personal = [word for word in _PERSONAL if word in said]
    if len(personal) >= 3 and not any(word in said for word in _FORMS):
        seen = f"图片文字有{'、'.join(personal)}"
    elif PORTRAIT in facts.marks and facts.kind is PictureKind.DOCUMENT:
        if any(word in said for word in _OPEN_CARDS):
            return
        seen = "图片像带头像的证件"
    elif facts.kind is PictureKind.DOCUMENT and not facts.text_read:
        seen = "图片像证件或文书，文字未能识别"
    elif facts.kind in _RECORDS and _ALTERS.search(fold(request)):
        yield Reason(
            "altered_record", "要求改动截图或文书上的内容", PERSON, "handoff_document", "staff"
        )
        return
    else:
        return
    yield Reason("document_suspected", seen, PERSON, "handoff_document", "staff")


_RECORDS = frozenset({PictureKind.SCREENSHOT, PictureKind.DOCUMENT})


def _declined(code: str, evidence: str, template: str = "decline_content") -> Reason:
    return Reason(code, evidence, DECLINE, template)


# ---- other people's marks ----

TRADEMARKS = (
    "耐克", "阿迪达斯", "彪马", "安踏", "李宁", "路易威登", "香奈儿", "古驰", "爱马仕", "普拉达",
    "迪士尼", "米老鼠", "漫威", "哈利波特", "皮卡丘", "宝可梦", "哆啦a梦", "奥特曼", "小猪佩奇",
    "喜羊羊", "熊出没", "星巴克", "麦当劳", "肯德基", "可口可乐", "百事可乐", "海底捞", "喜茶",
    "蜜雪冰城", "茅台", "五粮液", "特斯拉", "保时捷", "法拉利", "乐高", "nike", "adidas", "puma",
    "louis vuitton", "chanel", "gucci", "hermes", "prada", "disney", "marvel", "pokemon",
    "hello kitty", "starbucks", "mcdonald", "kfc", "coca-cola", "pepsi", "lego", "tesla",
    "porsche", "ferrari",
)  # fmt: skip

_FAKE = re.compile(r"高仿|仿冒|假冒|山寨|冒充|a货|复刻|以假乱真|防伪码|防伪标")
_COPIES = re.compile(
    r"logo|商标|标志|图标|矢量|描|临摹|同款|一样|仿|包装|吊牌|标签|贴纸|周边|印在|印到|刻|照着"
)
_WORD_LIST = TypeAdapter(Words)


def parse_trademarks(text: str) -> tuple[str, ...]:
    """A YAML list of names. Raises ConfigurationError."""
    try:
        words = _WORD_LIST.validate_python(yaml.safe_load(text))
    except (ValidationError, yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigurationError("trademarks", reason, "a YAML list of names") from None
    short = [word for word in words if len(letters(word)) < 2]
    if short:
        raise ConfigurationError("trademarks", f"{short[0]!r} says too little", "longer names")
    return words


def _marks(
    facts: PictureFacts | None, request: str, service: Service | None, names: tuple[str, ...]
) -> Iterator[Reason]:
    asked = fold(request)
    named = _name_in(asked, names)
    shown = _name_in(fold(facts.text), names) if facts is not None else None
    name = named or shown
    if name is None:
        return
    where = f"要求里提到「{name}」" if named else f"图片上有「{name}」"
    if _FAKE.search(asked):
        yield _declined("counterfeit", f"{where}，且要仿冒", "decline_mark")
        return
    designs = service is not None and service.starting_price
    drawn = facts is not None and facts.kind is PictureKind.LOGO and shown is not None
    if drawn or designs or _COPIES.search(asked):
        yield Reason("trademark", f"{where}，是他人商标", PERSON, "handoff_mark", "staff")


def _name_in(text: str, names: tuple[str, ...]) -> str | None:
    found = _names(names).search(text)
    return found[0] if found else None


@lru_cache(maxsize=8)
def _names(names: tuple[str, ...]) -> re.Pattern[str]:
    longest = sorted({fold(name) for name in names}, key=len, reverse=True)
    return re.compile("|".join(map(_whole, longest)) or r"(?!)")


def _whole(name: str) -> str:
    """Latin names stand alone: «legolas» is no LEGO."""
    pattern = re.escape(name)
    if name[0].isascii():
        pattern = rf"(?<![a-z\d]){pattern}"
    return rf"{pattern}(?![a-z\d])" if name[-1].isascii() else pattern


# ---- customer, picture, time, price ----


def _customer(customer: CustomerRecord, limits: CustomerLimits) -> Iterator[Reason]:
    if not limits_of(customer.level).dispatches:
        yield Reason("blacklist", "黑名单客户", PERSON, "handoff", "staff")
    many = customer.refunds >= limits.refunds
    if many and customer.refunds * 100 >= limits.share_percent * max(customer.orders, 1):
        evidence = f"近期 {customer.orders} 单中退款 {customer.refunds} 单"
        yield Reason("refund_pattern", evidence, PERSON, "handoff", "staff")


def _feasible(
    facts: PictureFacts | None, service: Service | None, problem: str
) -> Iterator[Reason]:
    if service is None:
        yield Reason("unclear_request", "没看出客户要做什么", CLARIFY, "ask_service")
    if facts is None:
        if problem:
            yield Reason("picture_unreadable", problem, CLARIFY, "ask_readable_picture")
        elif service is not None and not service.starting_price:
            yield Reason("picture_missing", "还没有收到图片", CLARIFY, "ask_image")
        return
    if facts.kind is PictureKind.BLANK:
        yield Reason("picture_blank", "图片是空白的", CLARIFY, "ask_other_picture")
    elif service is not None and not service.starting_price:
        yield from _good_enough(facts, service)


def _good_enough(facts: PictureFacts, service: Service) -> Iterator[Reason]:
    needs = service.needs
    if facts.frames > 1:
        yield Reason("animated", f"图片是 {facts.frames} 帧的动图", CLARIFY, "ask_animation")
    if min(facts.width, facts.height) < needs.min_side:
        evidence = (
            f"图片 {facts.width}×{facts.height} 像素，{service.name}短边至少要 {needs.min_side}"
        )
        yield _not_enough("too_small", evidence, service, "ask_larger_picture")
    elif needs.min_sharpness is not None and facts.sharpness < needs.min_sharpness:
        points, least = as_points(facts.sharpness), ceil(round(100 * needs.min_sharpness, 6))
        evidence = f"图片清晰度 {points} 分（满分 100），{service.name}至少要 {least} 分"
        yield _not_enough("too_blurred", evidence, service, "ask_sharper_picture")


def _not_enough(code: str, evidence: str, service: Service, template: str) -> Reason:
    if service.needs.otherwise == "person":
        return Reason(code, evidence, PERSON, "handoff_designer", "designer")
    return Reason(code, evidence, CLARIFY, template)


def _in_time(
    service: Service | None, offered: Quote | None, hours: float | None
) -> Iterator[Reason]:
    if hours is None or service is None:
        return
    if hours <= 0:
        yield Reason("deadline_past", "要求的时间已经过了", CLARIFY, "ask_deadline")
        return
    fastest = _fastest(service, offered.quantity if offered is not None else 1)
    if fastest is None or hours >= fastest:
        return
    evidence = f"最快需要 {fastest:g} 小时，客户要求 {round(hours, 1):g} 小时内"
    if hours * 2 >= fastest:
        # A person may squeeze in what is short by less than half.
        yield Reason("deadline_tight", evidence, PERSON, "handoff_deadline", "staff")
    else:
        yield Reason("deadline_impossible", evidence, CLARIFY, "ask_deadline")


def _fastest(service: Service, quantity: int) -> float | None:
    """Every ten pictures take as long as the first."""
    return service.fastest_hours and service.fastest_hours * (1 + (quantity - 1) // 10)


def _approval(book: PriceBook, offered: Quote) -> Iterator[Reason]:
    for why in approval_reasons(book, offered):
        yield Reason("high_value", why, PERSON, "handoff_value", "approver")
