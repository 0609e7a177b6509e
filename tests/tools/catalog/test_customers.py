"""What is known of a customer, what was said, what is wanted."""

from tests.tools.catalog.calls import XIAOHONG, XIAOMING, Desk, customer, kinds


async def test_a_customer_is_shown_with_tags_and_remark(writing_desk: Desk) -> None:
    changes = {"name": "小明同学", "remark": "喜欢蓝色", "state": "deal"}
    for tool, arguments in (
        ("update_customer", changes),
        ("add_tag", {"tags": ["意向客户", "新客", "意向客户"]}),
        ("add_tag", {"remove": ["新客"]}),
    ):
        outcome = await writing_desk.call(tool, arguments, about=XIAOMING)
        await writing_desk.apply(outcome, key=f"{tool}{arguments}")
    shown = (await writing_desk.call("get_customer", about=XIAOMING)).output
    assert shown["tags"] == ["意向客户"]
    assert {name: shown[name] for name in changes} == changes
    assert (shown["customer_id"], shown["channel"], shown["mode"]) == (
        "customer_123",
        "webhook",
        "bot",
    )


async def test_somebody_of_whom_nothing_is_known_yet_can_be_shown(desk: Desk) -> None:
    shown = (await desk.call("get_customer", about=XIAOHONG)).output
    assert (shown["name"], shown["state"], shown["tags"]) == ("小红", "new", [])
    assert shown["last_active_at"] == ""


async def test_tags_and_changes_are_returned_as_they_will_be(desk: Desk) -> None:
    tagged = await desk.call(
        "add_tag", {"tags": [" a ", "a", "b"], "remove": ["c"]}, about=XIAOMING
    )
    assert tagged.effects[0].payload == {
        "contact_id": XIAOMING,
        "add": ["a", "b"],
        "remove": ["c"],
    }
    assert tagged.output["added"] == ["a", "b"]
    cleared = await desk.call("update_customer", {"remark": ""}, about=XIAOMING)
    assert cleared.effects[0].payload == {"contact_id": XIAOMING, "changes": {"remark": ""}}


async def test_a_conversation_is_read_newest_last_and_paged_backwards(desk: Desk) -> None:
    read = (await desk.call("get_conversation", {"limit": 1}, about=XIAOMING)).output["messages"]
    assert [(one["role"], one["content"]) for one in read] == [("user", "做高清修复要多少钱?")]
    assert read[0]["at"] == "2026-02-27T17:50:01+08:00"
    arguments = {"limit": 5, "before": read[0]["id"]}
    older = (await desk.call("get_conversation", arguments, about=XIAOMING)).output["messages"]
    assert [one["content"] for one in older] == ["这个能做吗"]


async def test_a_customer_reads_only_what_was_said_with_it(desk: Desk) -> None:
    read = await desk.call("get_conversation", caller=customer(XIAOMING))
    said = [one["content"] for one in read.output["messages"]]
    assert said == ["这个能做吗", "做高清修复要多少钱?"]


async def test_what_was_sent_is_read_back(writing_desk: Desk) -> None:
    sent = await writing_desk.call("send_message", {"message": "60 元起"}, about=XIAOMING)
    await writing_desk.apply(sent)
    read = (await writing_desk.call("get_conversation", about=XIAOMING)).output["messages"]
    assert (read[-1]["role"], read[-1]["content"]) == ("assistant", "60 元起")


async def test_work_on_pictures_is_kept_and_listed(writing_desk: Desk) -> None:
    arguments = {
        "requirement": "去掉水印,\n不要裁剪",
        "image_urls": ["https://cdn.example/a.png", "https://cdn.example/a.png"],
    }
    outcome = await writing_desk.call(
        "create_image_task", arguments, caller=customer(XIAOMING), about=XIAOMING
    )
    assert kinds(outcome) == ["image_task:image_task"]
    assert outcome.output == {"customer_id": "customer_123", "title": "图片处理-_123", "images": 1}
    await writing_desk.apply(outcome)
    (task,) = (await writing_desk.call("list_image_tasks", about=XIAOMING)).output["tasks"]
    assert (task["requirement"], task["image_urls"], task["status"]) == (
        "去掉水印,\n不要裁剪",
        ["https://cdn.example/a.png"],
        "draft",
    )
    assert task["created_at"] == "2026-02-27T18:00:00+08:00"
    nobody = await writing_desk.call("list_image_tasks", about=XIAOHONG)
    assert nobody.output["tasks"] == []
