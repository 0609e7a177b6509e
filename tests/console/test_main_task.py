"""An agent's day in a browser: take, see, answer, approve, resolve; by mouse and by keyboard."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.api.desk.seats import PASSWORD
from tests.api.service import Service
from tests.console.chromium import listening, ready, visiting
from tests.console.conftest import AGENT, SHOTS
from tests.console.filled import picture_bytes
from tests.console.talks import Customer, can

SignedIn = Callable[..., Page]
COMPOSING = """box => box.dispatchEvent(new KeyboardEvent("keydown",
    {key: "Enter", isComposing: true, bubbles: true, cancelable: true}))"""
"""Whether the input method's own Enter was let through."""
SORRY = "非常抱歉给您带来不便，我们马上为您处理。"


@pytest.fixture(scope="module", autouse=True)
def _canned(console: Service) -> None:
    can(console, "dq", "道歉", SORRY)
    can(console, "kd", "快递", "您的订单已经发出，预计三天内送达。")


def stays(page: Page) -> Callable[[], None]:
    """Call what is returned to learn that the page was never loaded again."""
    page.evaluate("window.kept = true")

    def check() -> None:
        assert page.evaluate("window.kept") is True, "the page was loaded again"

    return check


def row_of(page: Page, customer: Customer) -> Any:
    return page.locator(f"#q-{customer.conversation}").first


def test_an_agent_takes_hears_answers_approves_and_resolves(
    console: Service, signed_in: SignedIn
) -> None:
    page = listening(signed_in(AGENT))
    never_reloaded = stays(page)
    customer = Customer(console, "赵小满")
    customer.says("转人工")
    expect(row_of(page, customer)).to_contain_text("赵小满")
    never_reloaded()

    row_of(page, customer).locator("a").click()
    page.wait_for_url("**/desk/conversations/*")
    listening(ready(page))
    never_reloaded = stays(page)
    page.get_by_role("button", name="接入").click()
    expect(page.locator("[data-mode-now=human]")).to_be_visible()

    customer.says("我的充电桩还没有装好")
    expect(page.locator("#lines .customer").last).to_contain_text("我的充电桩还没有装好")

    box = page.get_by_label("输入回复")
    box.press_sequentially("/dq")
    expect(page.get_by_role("option", name=re.compile("道歉"))).to_be_visible()
    box.press("Enter")
    expect(box).to_have_value(SORRY)
    box.press("Enter")
    expect(page.locator("#lines .staff").last).to_contain_text(SORRY)
    expect(box).to_have_value("")

    page.get_by_role("button", name="开启草稿助手").click()
    expect(page.locator("[data-mode-now=copilot]")).to_be_visible()
    customer.says("充电桩怎么安装？")
    draft = page.get_by_role("region", name="草稿助手")
    expect(draft).to_be_visible()
    page.screenshot(path=SHOTS / "draft.png")
    words = draft.get_by_label("草稿内容").input_value()
    draft.get_by_role("button", name="采用并发送").click()
    expect(draft).to_be_hidden()
    last = page.locator("#lines .bubble").last
    expect(last).to_contain_text(words.splitlines()[0])

    page.locator("summary", has_text="结束").click()
    page.get_by_role("button", name="已解决").click()
    expect(page.locator("[data-mode-now=bot]")).to_be_visible()
    expect(page.locator("#standing")).to_contain_text("由机器人接待")
    expect(page.get_by_role("button", name="重新打开")).to_be_visible()
    never_reloaded()


def test_the_main_task_needs_no_mouse(console: Service, signed_in: SignedIn) -> None:
    customer = Customer(console, "钱多多")
    customer.says("我要投诉！转人工")
    page = signed_in(AGENT)
    page.goto("/desk/orders")
    ready(page)
    keys = page.keyboard
    keys.press("g")
    keys.press("q")
    page.wait_for_url(re.compile(r"/desk$"))
    listening(ready(page))
    expect(row_of(page, customer)).to_be_visible()
    for _ in range(40):
        keys.press("j")
        if page.evaluate("document.activeElement.closest('li').id") == f"q-{customer.conversation}":
            break
    keys.press("Enter")
    page.wait_for_url("**/desk/conversations/*")
    listening(ready(page))
    keys.press("t")
    expect(page.locator("[data-mode-now=human]")).to_be_visible()
    keys.press("r")
    expect(page.get_by_label("输入回复")).to_be_focused()
    keys.type("您好，我来帮您看一下。")
    keys.press("Enter")
    expect(page.locator("#lines .staff").last).to_contain_text("我来帮您看一下")
    keys.press("Escape")
    keys.press("n")
    keys.type("客户很着急")
    keys.press("Enter")
    expect(page.locator("#lines .note").last).to_contain_text("客户很着急")
    keys.press("Escape")
    keys.press("e")
    expect(page.get_by_label("请客户评价")).to_be_focused()
    keys.press("Tab")
    keys.press("Enter")
    expect(page.locator("[data-mode-now=bot]")).to_be_visible()


def test_the_form_to_sign_in_needs_no_mouse(console: Service, chromium: Any) -> None:
    with visiting(chromium, console.url) as context:
        page = context.new_page()
        page.goto("/desk/orders")
        expect(page.get_by_label("账号")).to_be_focused()
        page.keyboard.type(AGENT)
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/desk/orders")
        ready(page)
        page.keyboard.press("Tab")
        expect(page.get_by_text("跳到主要内容")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_be_focused()
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()


def test_enter_sends_but_not_in_the_middle_of_a_word(console: Service, signed_in: SignedIn) -> None:
    customer = Customer(console, "孙悟")
    customer.says("转人工")
    page = signed_in(AGENT)
    page.goto(f"/desk/conversations/{customer.conversation}")
    ready(page)
    page.get_by_role("button", name="接入").click()
    box = page.get_by_label("输入回复")
    expect(box).to_be_visible()
    box.press_sequentially("第一行")
    box.press("Shift+Enter")
    box.press_sequentially("第二行")
    expect(box).to_have_value("第一行\n第二行")
    assert box.evaluate(COMPOSING), "the word's Enter was taken"
    expect(box).to_have_value("第一行\n第二行")
    assert page.locator("#lines .staff").count() == 0
    page.reload()
    ready(page)
    expect(page.get_by_label("输入回复")).to_have_value("第一行\n第二行")
    page.get_by_label("输入回复").press("Enter")
    expect(page.locator("#lines .staff .bubble")).to_have_text("第一行\n第二行")


def test_of_two_agents_one_has_it_and_the_other_is_told_who(
    console: Service, signed_in: SignedIn
) -> None:
    customer = Customer(console, "李四")
    customer.says("转人工")
    mine, theirs = signed_in("lin"), signed_in("chen")
    for page in (mine, theirs):
        page.goto(f"/desk/conversations/{customer.conversation}")
        ready(page)
    theirs.evaluate("document.querySelector('main').removeAttribute('data-live')")
    mine.get_by_role("button", name="接入").click()
    expect(mine.locator("[data-mode-now=human]")).to_be_visible()
    listening(mine)
    mine.locator("summary", has_text="转交").click()
    mine.get_by_label("转给").select_option("chen")
    mine.get_by_label("给同事的话").fill("请接着处理")
    mine.locator("form[action$=transfer] button.main").click()
    expect(mine.locator("#closed-bar")).to_contain_text("陈静 正在接待")
    theirs.reload()
    listening(ready(theirs))
    expect(theirs.get_by_label("输入回复")).to_be_visible()
    expect(theirs.locator("#lines .note").last).to_contain_text("请接着处理")


def test_a_stale_draft_takes_no_words_of_the_agents_with_it(
    console: Service, signed_in: SignedIn
) -> None:
    customer = Customer(console, "周到")
    customer.says("转人工")
    page = signed_in(AGENT)
    page.goto(f"/desk/conversations/{customer.conversation}")
    ready(page)
    page.get_by_role("button", name="接入").click()
    page.get_by_role("button", name="开启草稿助手").click()
    expect(page.locator("[data-mode-now=copilot]")).to_be_visible()
    listening(page)
    customer.says("充电桩怎么安装？")
    text = page.get_by_label("草稿内容")
    expect(text).to_be_visible()
    first = text.input_value()
    text.fill("您好！安装师傅明天联系您。")
    customer.says("充电桩保修多久？")
    expect(text).not_to_have_value("您好！安装师傅明天联系您。")
    expect(text).not_to_have_value(first)
    expect(page.get_by_label("输入回复")).to_have_value("您好！安装师傅明天联系您。")
    page.get_by_role("button", name="放弃").click()
    expect(page.get_by_role("region", name="草稿助手")).to_be_hidden()
    expect(page.locator("#lines .staff")).to_have_count(0)


def test_a_picture_goes_to_the_customer_and_no_other_file_does(
    console: Service, signed_in: SignedIn
) -> None:
    customer = Customer(console, "看图")
    customer.says("转人工")
    page = signed_in(AGENT)
    page.goto(f"/desk/conversations/{customer.conversation}")
    ready(page).get_by_role("button", name="接入").click()
    expect(page.locator("[data-mode-now=human]")).to_be_visible()
    page.set_input_files(
        "#attach", {"name": "a.png", "mimeType": "image/png", "buffer": b"no picture"}
    )
    expect(page.locator("[data-trouble]:visible")).to_be_visible()
    page.set_input_files(
        "#attach", {"name": "b.png", "mimeType": "image/png", "buffer": picture_bytes()}
    )
    sent = page.locator("#lines .staff img")
    expect(sent).to_have_count(1)
    sent.scroll_into_view_if_needed()
    expect(sent).to_have_js_property("naturalWidth", 640)
    expect(page.locator("[data-trouble]:visible")).to_have_count(0)
