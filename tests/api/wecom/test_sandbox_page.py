"""The phone of the simulated WeCom: a newcomer writes as a customer, then as a member."""

from pathlib import Path

from tests.api.browser import Page, running_browser
from tests.api.wecom.test_callback import serving
from tests.sandbox_server import SandboxServer

CHOOSE = "const one = document.querySelector('#account'); one.value = {value}; one.onchange()"


def write(page: Page, words: str) -> None:
    page.evaluate("document.querySelector('#text').focus()")
    page.type(words)
    page.press("Enter")


def bubbles(page: Page, count: int) -> list[str]:
    page.wait_for(f"document.querySelectorAll('.bubble').length >= {count}")
    return page.texts(".bubble")


def test_a_newcomer_plays_a_customer_and_a_member(
    sandbox_server: SandboxServer, tmp_path: Path
) -> None:
    with serving(sandbox_server, tmp_path, None) as (service, _), running_browser() as browser:
        templates = service.kefu.services.templates
        with browser.page() as page:
            page.size(1000, 900)
            page.open(f"{sandbox_server.url}/_sandbox/wecom/page")
            page.wait_for("document.querySelectorAll('#account option').length === 2")
            write(page, "你好")
            assert bubbles(page, 2)[0].startswith("你好")

            page.evaluate(CHOOSE.format(value="APP"))
            page.wait_for("document.querySelectorAll('.bubble').length === 0")
            page.click("#enter")
            (greeting,) = bubbles(page, 1)
            assert greeting.startswith(templates.render("member_welcome", seed="wmXiaoWang"))
            assert page.evaluate("document.querySelector('[data-change]').disabled") is True
            write(page, "你好")
            assert bubbles(page, 3)[1].startswith("你好")
            assert page.problems == []
