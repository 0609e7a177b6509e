"""Work on pictures that customers ask for."""

import json
from typing import Annotated, Any

from pydantic import Field

from domain.decisions import Effect, EffectKind
from storage.order_rows import title_for
from tools.catalog.arguments import Arguments, CustomerId, Pictures, Result, SenderId, Text, Title
from tools.catalog.instants import local
from tools.catalog.people import recipient_of
from tools.catalog.reading import picture_work
from tools.registry import EVERYBODY, STAFF, Tool, ToolCall, ToolOutcome


class CreateImageTask(Arguments):
    requirement: Annotated[Text, Field(description="客户的要求")]
    title: Annotated[Title, Field(description="任务名称;不填则为「图片处理-客户 ID 后 4 位」")] = ""
    image_urls: Annotated[Pictures, Field(description="图片地址,http(s)")] = ()
    customer_id: CustomerId = ""


class ListImageTasks(Arguments):
    limit: Annotated[int, Field(ge=1, le=100, description="最多返回条数")] = 20
    customer_id: CustomerId = ""


class Created(Result):
    customer_id: SenderId
    title: str = Field(description="任务名称")
    images: int = Field(description="图片数量")


class ImageTaskShown(Result):
    id: int = Field(description="任务编号")
    title: str = Field(description="任务名称")
    requirement: str = Field(description="客户的要求")
    status: str = Field(description="状态")
    image_urls: tuple[str, ...] = Field(description="图片地址")
    created_at: str = Field(description="创建时间(ISO 8601,带时区)")


class ImageTasks(Result):
    customer_id: SenderId
    tasks: tuple[ImageTaskShown, ...] = Field(description="由新到旧")


async def _create(call: ToolCall, args: CreateImageTask) -> ToolOutcome:
    who = await recipient_of(call, args.customer_id)
    title = args.title or title_for(who.contact_id)
    payload = {
        "contact_id": who.contact_id,
        "conversation_id": who.conversation_id,
        "title": title,
        "requirement": args.requirement,
        "images": list(args.image_urls),
    }
    result = Created(customer_id=who.sender_id, title=title, images=len(args.image_urls))
    effect = Effect(EffectKind.IMAGE_TASK, "image_task", payload)
    return ToolOutcome(result.model_dump(), (effect,))


async def _list(call: ToolCall, args: ListImageTasks) -> ToolOutcome:
    who = await recipient_of(call, args.customer_id)
    found = await call.database.read(lambda c: picture_work(c, who.contact_id, limit=args.limit))
    tasks = tuple(
        ImageTaskShown(
            id=row["id"],
            title=row["title"],
            requirement=row["requirement"],
            status=row["status"],
            image_urls=tuple(json.loads(row["images"])),
            created_at=local(row["created_at"], call.zone),
        )
        for row in found
    )
    result = ImageTasks(customer_id=who.sender_id, tasks=tasks)
    return ToolOutcome(result.model_dump(mode="json"))


TOOLS: tuple[Tool[Any], ...] = (
    Tool(
        "create_image_task",
        "登记一项图片工作:要求和图片地址。",
        CreateImageTask,
        Created,
        EVERYBODY,
        _create,
        title="登记图片工作",
    ),
    Tool(
        "list_image_tasks",
        "列出客户的图片工作。",
        ListImageTasks,
        ImageTasks,
        STAFF,
        _list,
        title="图片工作列表",
    ),
)
