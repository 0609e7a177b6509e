"""To a person: the desk, a designer, or a word to the staff."""

from typing import Annotated, Any, Literal

from pydantic import Field

from domain.decisions import Effect, EffectKind
from storage.order_rows import title_for
from tools.catalog.arguments import (
    MAX_TITLE_CHARS,
    Arguments,
    ConversationId,
    CustomerId,
    Name,
    OptionalText,
    Priority,
    Reason,
    Result,
    SenderId,
    Text,
    Title,
    WebAddress,
)
from tools.catalog.instants import local
from tools.catalog.people import reachable, recipient_of
from tools.catalog.reading import LATEST_ID, handoffs, last_asked
from tools.catalog.sending import message_effect
from tools.registry import (
    EVERYBODY,
    STAFF,
    NotAllowed,
    Recipient,
    Role,
    Tool,
    ToolCall,
    ToolOutcome,
)

TUHUI = "tuhui"
MAX_QUESTION_CHARS = 500
_DESK_PRIORITY: dict[int, Priority] = {1: "normal", 2: "normal", 3: "high"}


class TransferToHuman(Arguments):
    reason: Annotated[Reason, Field(description="为什么转人工,人工客服会看到")] = ""
    priority: Annotated[Priority, Field(description="紧急程度")] = "normal"
    message: Annotated[OptionalText, Field(description="同时告诉客户的话")] = ""
    customer_id: CustomerId = ""


class DispatchDesigner(Arguments):
    title: Annotated[Title, Field(description="任务名称;不填则为「图片处理-客户 ID 后 4 位」")] = ""
    description: Annotated[Text, Field(description="要做什么")]
    task_type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="任务类型")] = (
        "image_process"
    )
    priority: Annotated[int, Field(ge=1, le=3, description="优先级:1 低,2 中,3 高")] = 2
    designer_name: Annotated[Name, Field(description="指定设计师;不在线时由系统另选")] = ""
    image_url: Annotated[WebAddress | None, Field(description="客户图片地址,http(s)")] = None
    customer_id: CustomerId = ""


class NotifyStaff(Arguments):
    title: Annotated[Title, Field(description="通知标题")] = "客服通知"
    message: Annotated[Text, Field(description="通知内容")]
    priority: Annotated[Priority, Field(description="紧急程度")] = "normal"


class ListHandoffs(Arguments):
    status: Annotated[
        Literal["open", "taken", "closed"],
        Field(description="open 待接入,taken 接待中,closed 已结束"),
    ] = "open"
    limit: Annotated[int, Field(ge=1, le=100, description="最多返回条数")] = 20
    before: Annotated[
        int | None, Field(ge=1, le=LATEST_ID, description="只看比该编号更早的,用于翻页")
    ] = None


class Transferred(Result):
    customer_id: SenderId
    conversation_id: ConversationId
    target: Literal["desk", "designer"] = Field(description="desk 人工客服,designer 设计师")
    told_customer: bool = Field(description="是否同时给客户发了消息")


class Dispatched(Result):
    customer_id: SenderId
    title: str = Field(description="任务名称")
    to: Literal["tuhui", "desk"] = Field(
        description="tuhui 提交图绘派单;desk 未接入图绘,转到人工台由设计师处理"
    )


class Notified(Result):
    title: str = Field(description="通知标题")


class HandoffShown(Result):
    id: int = Field(description="转人工编号")
    conversation_id: ConversationId
    contact_id: str = Field(description="客户「渠道:账号:用户 ID」")
    name: str = Field(description="客户名称")
    reason: str = Field(description="原因")
    priority: str = Field(description="紧急程度")
    target: str = Field(description="desk 人工客服,designer 设计师")
    question: str = Field(description="客户的问题")
    status: str = Field(description="状态")
    agent: str = Field(description="接待人")
    created_at: str = Field(description="发起时间")


class Handoffs(Result):
    handoffs: tuple[HandoffShown, ...] = Field(description="由新到旧")


async def _transfer(call: ToolCall, args: TransferToHuman) -> ToolOutcome:
    if args.message and call.caller.role is Role.CUSTOMER:
        raise NotAllowed("message", "客户不能以客服身份发消息")
    find = reachable if args.message else recipient_of
    to = await find(call, args.customer_id)
    question = await call.database.read(lambda c: last_asked(c, to.conversation_id))
    reason = args.reason or _default_reason(call)
    effects = [
        _handoff(to, reason, args.priority, "desk", question),
        _staff_notice(to, "需要人工介入", reason, args.priority, f"问题:{question}"),
    ]
    if args.message:
        effects.append(message_effect(to, args.message))
    result = Transferred(
        customer_id=to.sender_id,
        conversation_id=to.conversation_id,
        target="desk",
        told_customer=bool(args.message),
    )
    return ToolOutcome(result.model_dump(), tuple(effects))


async def _dispatch(call: ToolCall, args: DispatchDesigner) -> ToolOutcome:
    to = await recipient_of(call, args.customer_id)
    title = args.title or title_for(to.contact_id)
    description = _work_order(to, args)
    if TUHUI in call.channels:
        result = Dispatched(customer_id=to.sender_id, title=title, to="tuhui")
        payload = {
            "title": title,
            "description": description,
            "task_type": args.task_type,
            "priority": args.priority,
            "designer": args.designer_name,
            "contact_id": to.contact_id,
        }
        return ToolOutcome(result.model_dump(), (Effect(EffectKind.DISPATCH, "dispatch", payload),))
    result = Dispatched(customer_id=to.sender_id, title=title, to="desk")
    priority = _DESK_PRIORITY[args.priority]
    question = f"{title}\n{description}"
    effects = (
        _handoff(to, "dispatch_designer", priority, "designer", question),
        _staff_notice(to, "需要设计师处理", title, priority, description),
    )
    return ToolOutcome(result.model_dump(), effects)


async def _notify(call: ToolCall, args: NotifyStaff) -> ToolOutcome:
    title = args.title or "客服通知"
    payload = {
        "title": title,
        "text": args.message,
        "priority": args.priority,
        "reason": "notify_staff",
    }
    effect = Effect(EffectKind.NOTICE, "notice", payload)
    return ToolOutcome(Notified(title=title).model_dump(), (effect,))


async def _list_handoffs(call: ToolCall, args: ListHandoffs) -> ToolOutcome:
    found = await call.database.read(
        lambda c: handoffs(c, status=args.status, limit=args.limit, before=args.before or LATEST_ID)
    )
    shown = tuple(
        HandoffShown.model_validate(
            row
            | {
                "name": row["name"] or "",
                "agent": row["agent"] or "",
                "created_at": local(row["created_at"], call.zone),
            }
        )
        for row in found
    )
    return ToolOutcome(Handoffs(handoffs=shown).model_dump(mode="json"))


def _default_reason(call: ToolCall) -> str:
    return {Role.CUSTOMER: "客户要求人工", Role.TIANWANG: "天网任务转人工"}.get(
        call.caller.role, "客服转人工"
    )


def _work_order(to: Recipient, args: DispatchDesigner) -> str:
    lines = [args.description, f"客户:{to.sender_id}" + (f"({to.name})" if to.name else "")]
    if args.image_url is not None:
        lines.append(f"图片:{args.image_url}")
    return "\n".join(lines)


def _handoff(to: Recipient, reason: str, priority: Priority, target: str, question: str) -> Effect:
    payload = {
        "reason": reason,
        "priority": priority,
        "target": target,
        "question": question,
        "conversation_id": to.conversation_id,
        "contact_id": to.contact_id,
    }
    return Effect(EffectKind.HANDOFF, "handoff", payload)


def _staff_notice(
    to: Recipient, heading: str, reason: str, priority: Priority, detail: str
) -> Effect:
    customer = to.name or to.sender_id
    lines = [
        f"客户:{customer}",
        detail[:MAX_QUESTION_CHARS],
        f"原因:{reason}",
        f"会话:{to.conversation_id}",
    ]
    payload = {
        "title": f"{heading}:{customer}"[:MAX_TITLE_CHARS],
        "text": "\n".join(lines),
        "priority": priority,
        "reason": reason,
        "conversation_id": to.conversation_id,
    }
    return Effect(EffectKind.NOTICE, "notice", payload)


TOOLS: tuple[Tool[Any], ...] = (
    Tool(
        "transfer_to_human",
        "把会话转给人工客服并通知值班人员,可同时告知客户。",
        TransferToHuman,
        Transferred,
        EVERYBODY,
        _transfer,
        title="转人工",
    ),
    Tool(
        "dispatch_designer",
        "把图片工作派给设计师;接入图绘时提交派单,否则转到人工台。",
        DispatchDesigner,
        Dispatched,
        STAFF,
        _dispatch,
        title="派单给设计师",
    ),
    Tool(
        "notify_staff",
        "给工作人员发一条通知。",
        NotifyStaff,
        Notified,
        STAFF,
        _notify,
        title="通知工作人员",
    ),
    Tool(
        "list_handoffs",
        "列出等待人工或正在由人工接待的会话。",
        ListHandoffs,
        Handoffs,
        STAFF,
        _list_handoffs,
        title="转人工列表",
    ),
)
