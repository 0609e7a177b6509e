"""Customers as people see them. Money in yuan, shares from 0 to 1."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from domain.customers import Counters, standing
from storage.customer_reads import Beside
from storage.customers import CustomerRow

STATES = {
    "new": "新客户",
    "potential": "潜在客户",
    "deal": "成交客户",
    "repurchase": "复购客户",
    "churn": "流失客户",
    "unsubscribed": "已取消关注",
}
LEVELS = {"white": "白名单", "gray": "灰名单", "black": "黑名单"}


@dataclass(frozen=True, slots=True)
class CustomerLine:
    """``fixed``: a level that a person decided on, "" where the score decides. ``contacts``: under
    how many contacts the person is known."""

    id: int
    contact_id: str
    name: str
    level: str
    fixed: str
    score: int
    state: str
    state_name: str
    tags: tuple[str, ...]
    contacts: int
    last_active_at: str


@dataclass(frozen=True, slots=True)
class CustomerPage:
    """``next_cursor``: where the next page begins, None: there is none."""

    items: list[CustomerLine]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class ContactView:
    id: int
    contact_id: str
    name: str
    remark: str
    phone: str
    address: str
    messages: int
    deals: int
    last_active_at: str


@dataclass(frozen=True, slots=True)
class ScoreView:
    """The arithmetic: score = 100 × (0.4 satisfaction + 0.3 activity + 0.3 value). ``known`` names
    the shares that were counted; the others are neutral."""

    satisfaction: float
    activity: float
    value: float
    known: tuple[str, ...]
    positive: int
    judged: int
    recent_messages: int
    messages: int
    paid: float
    deals: int
    average_deal: float
    rating: float | None


@dataclass(frozen=True, slots=True)
class DealView:
    key: str
    amount: float
    order_id: int | None
    note: str
    by: str
    at: str
    cancelled_at: str | None


@dataclass(frozen=True, slots=True)
class VerdictView:
    key: str
    conversation_id: str
    rating: int | None
    outcome: str
    by: str
    at: str


@dataclass(frozen=True, slots=True)
class TalkView:
    id: str
    channel: str
    account: str
    mode: str
    last_active_at: str


@dataclass(frozen=True, slots=True)
class OrderLine:
    id: int
    title: str
    status: str
    created_at: str


@dataclass(frozen=True, slots=True)
class MergeView:
    id: int
    person_id: str
    other_id: str
    moved: tuple[str, ...]
    by: str
    at: str
    undone_by: str
    undone_at: str | None


@dataclass(frozen=True, slots=True)
class CustomerView:
    """One person. ``contact_id``, name and the like are of the contact that speaks for all; where
    it has none, another's. Lists hold the newest."""

    id: int
    contact_id: str
    name: str
    remark: str
    phone: str
    address: str
    level: str
    fixed: str
    score: int
    state: str
    state_name: str
    state_before: str
    tags: tuple[str, ...]
    last_active_at: str
    standing: ScoreView
    contacts: tuple[ContactView, ...]
    talks: tuple[TalkView, ...]
    orders: tuple[OrderLine, ...]
    deals: tuple[DealView, ...]
    verdicts: tuple[VerdictView, ...]
    merges: tuple[MergeView, ...]


def line(row: CustomerRow) -> CustomerLine:
    return CustomerLine(
        row.id,
        row.contact_id,
        row.name,
        row.level,
        row.pinned,
        row.score,
        row.state,
        STATES.get(row.state, row.state),
        row.tags,
        1 + row.aliases,
        row.last_active_at,
    )


def view(contacts: Sequence[CustomerRow], average_deal: int, beside: Beside) -> CustomerView:
    """``contacts``: of one person, the one that speaks first; ``average_deal`` in fen."""
    first = contacts[0]

    def said(name: str) -> str:
        return next((text for one in contacts if (text := getattr(one, name))), "")

    return CustomerView(
        id=first.id,
        contact_id=first.contact_id,
        name=said("name"),
        remark=said("remark"),
        phone=said("phone"),
        address=said("address"),
        level=first.level,
        fixed=first.pinned,
        score=first.score,
        state=first.state,
        state_name=STATES.get(first.state, first.state),
        state_before=first.state_before,
        tags=first.tags,
        last_active_at=max(one.last_active_at for one in contacts),
        standing=_score(contacts, average_deal),
        contacts=tuple(_contact(one) for one in contacts),
        talks=tuple(TalkView(**row) for row in beside.talks),
        orders=tuple(OrderLine(**row) for row in beside.orders),
        deals=tuple(DealView(**row | {"amount": yuan(row["amount"])}) for row in beside.deals),
        verdicts=tuple(VerdictView(**row) for row in beside.verdicts),
        merges=tuple(MergeView(**asdict(row)) for row in beside.merges),
    )


def yuan(fen: int) -> float:
    return fen / 100


def _score(contacts: Sequence[CustomerRow], average_deal: int) -> ScoreView:
    counted = sum((one.counters for one in contacts), Counters())
    found = standing(counted, average_deal)
    known = {
        "satisfaction": counted.judged > 0,
        "activity": counted.messages > 0,
        "value": counted.paid > 0 and average_deal > 0,
    }
    return ScoreView(
        satisfaction=round(float(found.satisfaction), 4),
        activity=round(float(found.activity), 4),
        value=round(float(found.value), 4),
        known=tuple(name for name, is_known in known.items() if is_known),
        positive=counted.positive,
        judged=counted.judged,
        recent_messages=counted.recent,
        messages=counted.messages,
        paid=yuan(counted.paid),
        deals=counted.deals,
        average_deal=yuan(average_deal),
        rating=contacts[0].satisfaction_avg,
    )


def _contact(row: CustomerRow) -> ContactView:
    return ContactView(
        row.id,
        row.contact_id,
        row.name,
        row.remark,
        row.phone,
        row.address,
        row.total_messages,
        row.deals,
        row.last_active_at,
    )
