"""Pages that keep themselves new: rows, tabs, lost connections, work under way."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.api.service import Service
from tests.console.chromium import listening, ready
from tests.console.conftest import ADMIN, AGENT
from tests.console.filled import HOSTILE, lose
from tests.console.talks import Customer

SignedIn = Callable[..., Page]


def test_a_row_comes_with_the_customer_and_says_who_took_it(
    console: Service, signed_in: SignedIn
) -> None:
    watching, acting = listening(signed_in(ADMIN)), signed_in(AGENT)
    watching.goto("/desk?view=open")
    listening(ready(watching))
    customer = Customer(console, HOSTILE)
    customer.says("转人工")
    row = watching.locator(f"#q-{customer.conversation}")
    expect(row).to_contain_text(HOSTILE)
    expect(row).to_contain_text("已等待")
    acting.goto(f"/desk/conversations/{customer.conversation}")
    ready(acting).get_by_role("button", name="接入").click()
    expect(row).to_contain_text("林小雨")
    customer.says(f"{HOSTILE} 在吗")
    expect(row).to_contain_text(f"{HOSTILE} 在吗")
    assert watching.locator("img").count() == 0


def test_all_tabs_of_a_browser_hear_over_one_connection(
    console: Service, signed_in: SignedIn
) -> None:
    first = listening(signed_in(AGENT))
    before = len(console.app.state.streams)
    second = first.context.new_page()
    second.goto("/desk?view=all")
    ready(second)
    customer = Customer(console, "双标签")
    customer.says("转人工")
    for page in (first, second):
        expect(page.locator(f"#q-{customer.conversation}")).to_contain_text("双标签")
    assert len(console.app.state.streams) == before
    first.close()
    listening(second)
    customer.says("你好，请问还在吗")
    expect(second.locator(f"#q-{customer.conversation}")).to_contain_text("请问还在吗")


def test_what_happened_while_the_connection_was_lost_is_there_when_it_is_back(
    console: Service, signed_in: SignedIn
) -> None:
    customer = Customer(console, "断线")
    customer.says("转人工")
    page = signed_in(AGENT)
    page.goto(f"/desk/conversations/{customer.conversation}")
    listening(ready(page))
    page.context.set_offline(True)
    box = page.get_by_label("输入回复")
    box.fill("这句话不能丢")
    box.press("Enter")
    expect(page.locator("[data-trouble]:visible")).to_contain_text("没有完成")
    expect(box).to_have_value("这句话不能丢")
    customer.says("我在等您")
    page.context.set_offline(False)
    expect(page.locator("#lines .customer").last).to_contain_text("我在等您")
    box.press("Enter")
    expect(page.locator("#lines .staff .bubble")).to_have_text("这句话不能丢")


def test_a_file_is_imported_and_found_without_a_reload(
    console: Service, signed_in: SignedIn
) -> None:
    page = signed_in(ADMIN)
    page.goto("/desk/knowledge/imports")
    ready(page)
    words = "# 礼品卡\n\n## 礼品卡能退吗？\n\n礼品卡售出后七天内未使用可以退。\n"
    page.set_input_files(
        "#files", {"name": "礼品卡.md", "mimeType": "text/markdown", "buffer": words.encode()}
    )
    expect(page.locator("[data-chosen]")).to_have_text("礼品卡.md")
    page.get_by_role("button", name="开始导入").click()
    expect(page.locator("#jobs li").first).to_contain_text("完成")
    expect(page.locator("#jobs li").first).to_contain_text(re.compile("新增 [1-9]"))
    page.goto("/desk/knowledge?q=礼品卡能退吗")
    expect(page.get_by_text("礼品卡售出后七天内未使用可以退。")).to_be_visible()
    expect(page.get_by_text("会直接回答")).to_be_visible()


def test_a_file_that_cannot_be_read_is_named_with_its_fault(
    console: Service, signed_in: SignedIn
) -> None:
    page = signed_in(ADMIN)
    page.goto("/desk/knowledge/imports")
    ready(page)
    page.set_input_files(
        "#files", {"name": "坏.pdf", "mimeType": "application/pdf", "buffer": b"no pdf at all"}
    )
    page.get_by_role("button", name="开始导入").click()
    expect(page.locator("#jobs li").first).to_contain_text("失败")
    expect(page.locator("#jobs li").first).to_contain_text("坏.pdf")


def test_an_unknown_question_is_answered_and_becomes_knowledge(
    console: Service, signed_in: SignedIn
) -> None:
    Customer(console, "问星").says("你们卖不卖火星土壤？")
    page = signed_in(AGENT)
    page.goto("/desk/knowledge/unknown")
    ready(page)
    card = page.locator("article", has_text="火星土壤")
    for _ in range(60):  # questions are gathered by a sweep, of which no page is told
        if card.count():
            break
        page.reload()
        ready(page)
    card.get_by_label("答案").fill("火星土壤暂不出售，敬请期待。")
    card.get_by_role("button", name="回答并收入").click()
    expect(card).to_have_count(0)
    page.goto("/desk/knowledge?q=你们卖不卖火星土壤")
    expect(page.get_by_text("火星土壤暂不出售，敬请期待。")).to_be_visible()


def test_what_was_not_delivered_is_sent_again(console: Service, signed_in: SignedIn) -> None:
    customer = Customer(console, "没收到")
    customer.says("你好")
    lose(console, customer)
    page = signed_in(AGENT)
    page.goto("/desk/deliveries")
    row = ready(page).locator("#letters li", has_text="没收到")
    expect(row).to_contain_text("您的快递到了，请到前台领取。")
    expect(row).to_contain_text("peer: HTTP 500")
    row.get_by_role("button", name="重新发送").click()
    expect(page.locator("#toasts")).to_contain_text("已重新发送")
