"""What is known of a customer, and what was said."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from domain.decisions import Effect, EffectKind
from tools.catalog.arguments import (
    Arguments,
    ChannelName,
    ConversationId,
    CustomerId,
    Given,
    Reason,
    Result,
    SenderId,
    Tags,
)
from tools.catalog.instants import local
from tools.catalog.people import recipient_of
from tools.catalog.reading import LATEST_ID, customer, said
from tools.registry import EVERYBODY, STAFF, Tool, ToolCall, ToolOutcome

State = Literal["new", "potential", "deal", "repurchase", "churn"]


class GetCustomer(Arguments):
    customer_id: CustomerId = ""


class GetConversation(Arguments):
    limit: Annotated[int, Field(ge=1, le=100, description="最多返回多少条最近的消息")] = 20
    before: Annotated[
        int | None, Field(ge=1, le=LATEST_ID, description="只看比该编号更早的,用于翻页")
    ] = None
    customer_id: CustomerId = ""


class AddTag(Arguments):
    tags: Annotated[Tags, Field(description="要添加的标签")] = ()
    remove: Annotated[Tags, Field(description="要移除的标签")] = ()
    customer_id: CustomerId = ""

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.tags and not self.remove:
            raise PydanticCustomError("empty", "tags 和 remove 至少填写一项")
        if both := set(self.tags) & set(self.remove):
            raise PydanticCustomError(
                "both", "标签不能同时添加和移除:{tags}", {"tags": ", ".join(sorted(both))}
            )
        return self


class UpdateCustomer(Arguments):
    name: Annotated[Given | None, Field(description="客户名称")] = None
    remark: Annotated[Reason | None, Field(description="备注;空字符串即清除")] = None
    state: Annotated[
        State | None,
        Field(description="new 新客,potential 潜在,deal 成交,repurchase 复购,churn 流失"),
    ] = None
    customer_id: CustomerId = ""

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.changes():
            raise PydanticCustomError("empty", "name、remark 和 state 至少填写一项")
        return self

    def changes(self) -> dict[str, str]:
        return self.model_dump(include={"name", "remark", "state"}, exclude_none=True)


class CustomerShown(Result):
    customer_id: SenderId
    contact_id: str = Field(description="「渠道:账号:用户 ID」")
    conversation_id: str = Field(description="最近的会话 ID")
    channel: ChannelName
    account: str = Field(description="渠道账号,如店铺")
    name: str = Field(description="名称")
    remark: str = Field(description="备注")
    level: str = Field(description="white、gray 或 black")
    score: int = Field(description="评分")
    state: str = Field(description="客户阶段")
    tags: tuple[str, ...] = Field(description="标签")
    mode: str = Field(description="bot 机器人接待,human 人工接待")
    total_messages: int = Field(description="来信总数")
    last_active_at: str = Field(description="最近活跃时间;未来过信则为空")


class MessageShown(Result):
    id: int = Field(description="消息编号")
    role: str = Field(description="user 客户,assistant 客服")
    kind: str = Field(description="消息类型")
    content: str = Field(description="内容")
    at: str = Field(description="时间(ISO 8601,带时区)")


class Conversation(Result):
    customer_id: SenderId
    conversation_id: ConversationId
    messages: tuple[MessageShown, ...] = Field(description="由旧到新")


class Tagged(Result):
    customer_id: SenderId
    added: tuple[str, ...] = Field(description="添加的标签")
    removed: tuple[str, ...] = Field(description="移除的标签")


class Updated(Result):
    customer_id: SenderId
    changes: dict[str, str] = Field(description="修改后的值")


async def _get_customer(call: ToolCall, args: GetCustomer) -> ToolOutcome:
    who = await recipient_of(call, args.customer_id)
    found = await call.database.read(lambda c: customer(c, who.contact_id, who.conversation_id))
    known = {"name": "", "remark": "", "level": "gray", "score": 60, "state": "new"}
    known |= {"total_messages": 0, "last_active_at": ""} | found.row
    seen = known["last_active_at"]
    known |= {
        "customer_id": who.sender_id,
        "contact_id": who.contact_id,
        "conversation_id": who.conversation_id,
        "channel": who.channel,
        "account": who.account,
        "name": known["name"] or who.name,
        "tags": found.tags,
        "mode": found.mode,
        "last_active_at": local(str(seen), call.zone) if seen else "",
    }
    return ToolOutcome(CustomerShown.model_validate(known).model_dump(mode="json"))


async def _get_conversation(call: ToolCall, args: GetConversation) -> ToolOutcome:
    who = await recipient_of(call, args.customer_id)
    before = args.before or LATEST_ID
    found = await call.database.read(
        lambda c: said(c, who.conversation_id, limit=args.limit, before=before)
    )
    result = Conversation(
        customer_id=who.sender_id,
        conversation_id=who.conversation_id,
        messages=tuple(
            MessageShown(
                id=row["id"],
                role=row["role"],
                kind=row["kind"],
                content=row["content"],
                at=local(row["received_at"], call.zone),
            )
            for row in found
        ),
    )
    return ToolOutcome(result.model_dump(mode="json"))


async def _add_tag(call: ToolCall, args: AddTag) -> ToolOutcome:
    who = await recipient_of(call, args.customer_id)
    payload = {
        "contact_id": who.contact_id,
        "add": list(args.tags),
        "remove": list(args.remove),
    }
    result = Tagged(customer_id=who.sender_id, added=args.tags, removed=args.remove)
    return ToolOutcome(result.model_dump(mode="json"), (Effect(EffectKind.TAG, "tag", payload),))


async def _update_customer(call: ToolCall, args: UpdateCustomer) -> ToolOutcome:
    who = await recipient_of(call, args.customer_id)
    changes = args.changes()
    payload = {"contact_id": who.contact_id, "changes": changes}
    result = Updated(customer_id=who.sender_id, changes=changes)
    return ToolOutcome(result.model_dump(), (Effect(EffectKind.CUSTOMER, "customer", payload),))


TOOLS: tuple[Tool[Any], ...] = (
    Tool(
        "get_customer",
        "查询一位客户的资料、标签和阶段。",
        GetCustomer,
        CustomerShown,
        STAFF,
        _get_customer,
        title="查询客户",
    ),
    Tool(
        "get_conversation",
        "查看与客户最近的对话。",
        GetConversation,
        Conversation,
        EVERYBODY,
        _get_conversation,
        title="查看对话",
    ),
    Tool(
        "add_tag",
        "给客户添加或移除标签。",
        AddTag,
        Tagged,
        STAFF,
        _add_tag,
        title="客户标签",
    ),
    Tool(
        "update_customer",
        "修改客户的名称、备注或阶段。",
        UpdateCustomer,
        Updated,
        STAFF,
        _update_customer,
        title="修改客户",
    ),
)
