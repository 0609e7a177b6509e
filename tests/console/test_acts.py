"""What else is done from the console: orders, prices, tasks, agents, canned replies, words."""

import re
import uuid
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.api.desk.seats import PASSWORD
from tests.api.service import Service
from tests.console.chromium import ready, visiting
from tests.console.conftest import ADMIN, AGENT, VIEWER
from tests.console.filled import Filled, filled

SignedIn = Callable[..., Page]


@pytest.fixture(scope="module")
def stage(console: Service) -> Filled:
    return filled(console)


def opened(page: Page, path: str) -> Page:
    page.goto(path)
    return ready(page)


def test_an_order_is_confirmed_and_given_to_a_designer(stage: Filled, signed_in: SignedIn) -> None:
    page = opened(signed_in(AGENT), f"/desk/orders/{stage.order}")
    expect(page.locator("#order-status")).to_have_text("已报价")
    assert page.locator("figure img").evaluate("one => one.complete && one.naturalWidth") == 640
    page.get_by_role("button", name="确认下单").click()
    expect(page.locator("#timeline")).to_contain_text("客户确认")
    expect(page.locator("#timeline")).to_contain_text(AGENT)
    expect(page.locator("#order-status")).not_to_have_text("已报价")


def test_what_another_person_has_changed_meanwhile_is_not_overwritten(
    console: Service, signed_in: SignedIn
) -> None:
    stage = filled(console)
    page = opened(signed_in(AGENT), f"/desk/orders/{stage.order}")
    done = console.client.post(f"/api/orders/{stage.order}/cancel", json={"reason": "不要了"})
    assert done.status_code == 200
    page.get_by_role("button", name="确认下单").click()
    trouble = page.locator("[data-trouble]:visible")
    expect(trouble).to_contain_text("已被改动")
    page.reload()
    expect(page.locator("#order-status")).to_have_text("已取消")


def test_a_quote_is_changed_never_under_its_floor(stage: Filled, signed_in: SignedIn) -> None:
    page = opened(signed_in(AGENT), "/desk/approvals")
    card = page.locator("article").first
    number = card.get_attribute("id")
    card.get_by_label("报价（元）").fill("800")
    card.get_by_role("button", name="按此价格报出").click()
    expect(page.locator(f"#{number}")).to_have_count(0)
    page.get_by_role("link", name="已处理").click()
    done = ready(page).locator(f"#{number}")
    expect(done).to_contain_text("改价批准")
    expect(done).to_contain_text("¥800.00")


def test_a_task_is_found_and_taken_back(stage: Filled, signed_in: SignedIn) -> None:
    page = opened(signed_in(AGENT), "/desk/tasks?status=pending")
    page.get_by_role("link", name=stage.task).click()
    ready(page).get_by_role("button", name="取消任务").click()
    page.wait_for_url("**/desk/tasks*")
    expect(ready(page).get_by_role("row", name=stage.task)).to_contain_text("已取消")


def test_an_administrator_adds_an_agent_who_then_signs_in(
    chromium: Browser, console: Service, signed_in: SignedIn
) -> None:
    login = f"new{uuid.uuid4().hex[:6]}"
    page = opened(signed_in(ADMIN), "/desk/agents")
    page.fill("#agent-new", login)
    page.fill("#name-new", "新同事")
    page.fill("#password-new", PASSWORD)
    page.locator("form:has(#agent-new) button.main").click()
    expect(page.locator(f"#agent-row-{login}")).to_contain_text("新同事")
    with visiting(chromium, console.url) as context:
        theirs = context.new_page()
        theirs.goto("/desk/sign-in")
        theirs.fill("#login", login)
        theirs.fill("#password", PASSWORD)
        theirs.click("button.main")
        theirs.wait_for_url("**/desk")
        assert theirs.locator("a[href='/desk/agents']").count() == 0
        theirs.get_by_role("button", name="退出登录").click()
        theirs.wait_for_url("**/desk/sign-in")
        theirs.goto("/desk")
        theirs.wait_for_url(re.compile(r"/desk/sign-in\?next="))


def test_a_canned_reply_is_written_changed_and_deleted(signed_in: SignedIn) -> None:
    page = opened(signed_in(ADMIN), "/desk/canned")
    page.fill("#shortcut-new", "hyd")
    page.fill("#title-new", "欢迎")
    page.fill("#text-new", "欢迎光临！")
    page.locator("form:has(#shortcut-new) button.main").click()
    row = page.locator("#canned li", has_text="/hyd")
    expect(row).to_contain_text("欢迎光临！")
    row.locator("summary").click()
    row.get_by_label("内容").fill("欢迎再来！")
    row.get_by_role("button", name="保存").click()
    expect(row.locator("summary")).to_contain_text("欢迎再来！")
    row.get_by_role("button", name="删除").click()
    expect(row).to_have_count(0)


def test_a_viewer_reads_and_is_offered_no_act(stage: Filled, signed_in: SignedIn) -> None:
    page = opened(signed_in(VIEWER), f"/desk/conversations/{stage.conversation}")
    expect(page.locator("#lines")).to_contain_text("充电桩怎么安装")
    main = page.locator("main")
    assert main.locator("form").count() == 0
    for path in (f"/desk/orders/{stage.order}", f"/desk/turns/{stage.turn}", "/desk/approvals"):
        opened(page, path)
        assert main.locator("form[method=post]").count() == 0


def test_the_console_speaks_english_once_it_is_asked_to(signed_in: SignedIn) -> None:
    page = signed_in(AGENT)
    page.get_by_role("link", name="English").click()
    expect(ready(page).get_by_role("heading", level=1)).to_have_text("Conversations")
    opened(page, "/desk/orders")
    assert page.locator("html").get_attribute("lang") == "en"
    chinese = page.evaluate(
        "[...document.querySelectorAll('nav .label, h1, .tabs a')].map((e) => e.innerText).join('')"
    )
    assert not [letter for letter in chinese if "\u4e00" <= letter <= "\u9fff"]


def test_on_a_phone_everything_is_behind_one_button(stage: Filled, signed_in: SignedIn) -> None:
    page = signed_in(AGENT, phone=True)
    agents_menu = page.get_by_role("link", name="报价审批")
    expect(agents_menu).to_be_hidden()
    page.get_by_role("button", name="更多").tap()
    expect(agents_menu).to_be_visible()
    agents_menu.tap()
    page.wait_for_url("**/desk/approvals")
    opened(page, f"/desk/conversations/{stage.conversation}")
    side = page.get_by_role("complementary", name="客户资料与依据")
    expect(side).to_be_hidden()
    page.get_by_role("button", name="客户资料与依据").tap()
    expect(side).to_be_visible()
    side.get_by_role("button", name="关闭").tap()
    expect(side).to_be_hidden()


def test_an_answer_that_contradicts_the_base_takes_the_place_of_what_it_says(
    console: Service, stage: Filled, signed_in: SignedIn
) -> None:
    right = "不能自行接线，由持证电工安装，全程约 3 小时。"
    marked = console.client.post(
        f"/api/reviews/turns/{stage.turn}/mark", json={"fault": "wrong", "correct": right}
    ).json()
    suggestion, old = marked["suggestion"]["id"], marked["suggestion"]["flags"][0]["entry_id"]
    page = opened(signed_in(ADMIN), "/desk/knowledge/suggestions")
    card = page.locator(f"#s{suggestion}")
    expect(card.get_by_role("checkbox")).to_be_checked()
    card.get_by_role("button", name="收入知识库").click()
    expect(page.locator(f"#s{suggestion}")).to_have_count(0)
    entry = console.client.get(f"/api/knowledge/entries/{old}").json()
    assert entry["answer"] == right
    undone = console.client.post(f"/api/knowledge/suggestions/{suggestion}/undo")
    assert undone.status_code == 200


def test_an_administrator_tries_saves_starts_and_cancels_a_campaign(
    console: Service, signed_in: SignedIn
) -> None:
    page = opened(signed_in(ADMIN), "/desk/campaigns")
    page.get_by_label("名称").fill("双十二回访")
    page.get_by_label("内容").fill("{name},修图八折")
    page.get_by_label("带有这些标签", exact=True).fill("没有人的标签")
    page.get_by_role("button", name="试算").click()
    expect(page.locator("#forecast")).to_contain_text("符合条件 0 人")
    page.get_by_role("button", name="保存草稿").click()
    card = page.locator("article", has_text="双十二回访")
    expect(card.locator(".tag").first).to_have_text("草稿")
    card.get_by_role("button", name="开始发送").click()
    expect(card.locator(".tag").first).not_to_have_text("草稿")
    other = opened(signed_in(AGENT), "/desk")
    assert other.locator("a[href='/desk/campaigns']").count() == 0
