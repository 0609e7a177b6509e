"""The rules on their page: shown, tried on the past, saved as a version, reverted."""

from playwright.sync_api import Page, expect

from tests.api.service import Service
from tests.console.conftest import ADMIN, AGENT, SignedIn
from tests.console.test_acts import opened

GIFT = """
  - {id: gift, name: 送礼客户, when: {text: {words: [送礼]}}, then: [{reply: 送礼可选礼盒装}]}
"""


def edit(page: Page, text: str) -> None:
    area = page.get_by_label("规则文件")
    area.fill(area.input_value().rstrip() + text)


def test_an_administrator_tries_saves_and_reverts_rules(
    console: Service, signed_in: SignedIn
) -> None:
    console.ask("想买来送礼", message_id="gift-1", chat_id="送礼的客户")
    page = opened(signed_in(ADMIN), "/desk/rules")
    expect(page.locator("#book")).to_contain_text("售前:批量或企业采购")
    edit(page, GIFT)
    page.get_by_role("button", name="试运行").click()
    tried = page.locator("#tried tr", has_text="送礼客户")
    expect(tried).to_contain_text("1 次，1 个会话")
    expect(tried).to_contain_text("想买来送礼")
    page.get_by_label("修改说明").fill("礼盒")
    page.get_by_role("button", name="保存为新版本").click()
    expect(page.locator("#book")).to_contain_text("送礼客户")
    expect(page.locator("#versions li").first).to_contain_text("礼盒")
    answer = console.ask("想买来送礼", message_id="gift-2", chat_id="送礼的客户")
    assert answer["content"] == "送礼可选礼盒装"
    page.locator("#versions li").last.get_by_role("button").click()
    expect(page.locator("#book")).not_to_contain_text("送礼客户")


def test_rules_that_cannot_be_used_are_said_and_the_edit_stays(
    console: Service, signed_in: SignedIn
) -> None:
    page = opened(signed_in(ADMIN), "/desk/rules")
    edit(page, "\n  - {id: bad}\n")
    page.get_by_role("button", name="保存为新版本").click()
    expect(page.locator("#edit [data-trouble]")).to_contain_text("Field required")
    assert "{id: bad}" in page.get_by_label("规则文件").input_value()


def test_rules_are_for_administrators(console: Service, signed_in: SignedIn) -> None:
    page = opened(signed_in(AGENT), "/desk")
    assert page.locator("a[href='/desk/rules']").count() == 0
