"""A bad answer is found in the console, its turn opened, the knowledge put right, the turn run
again, the conversation kept, and `kefu eval conversations` holds it from then on."""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.api.cli.processes import run_kefu
from tests.console.chromium import grave_findings, ready, running_chromium, visiting
from tests.service import Service, running_service

QUESTION = "帆布袋有没有拉链"
OLD, RIGHT = "12 安加厚棉帆布，有拉链和内袋", "帆布包带拉链，里面还有一个手机袋。"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("review-loop") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def page(service: Service) -> Iterator[Page]:
    with running_chromium() as browser, visiting(browser, service.url) as context:
        yield context.new_page()


def asked(service: Service, text: str, customer: str) -> httpx.Response:
    message = {"id": uuid.uuid4().hex, "chat_id": customer, "sender": customer, "content": text}
    body = {"agent_id": "shop", "message": message}
    return httpx.post(f"{service.url}/api/v1/messages", json=body, trust_env=False, timeout=30.0)


def replayed(data_dir: Path) -> tuple[int, str]:
    done = run_kefu("eval", "conversations", "--data-dir", str(data_dir))
    return done.returncode, done.stdout


def test_a_bad_answer_becomes_a_good_one_and_a_test_from_the_console_alone(
    service: Service, page: Page
) -> None:
    customer = f"c{uuid.uuid4().hex[:8]}"
    asked(service, "你好", customer)
    answer = asked(service, QUESTION, customer).json()
    assert OLD in answer["content"]

    # Found and opened.
    page.goto(f"/desk/conversations/{answer['conversation_id']}")
    ready(page)
    page.locator(f"a[href='/desk/turns/{answer['turn_id']}']").first.click()
    page.wait_for_url("**/desk/turns/*")
    ready(page)
    expect(page.locator("#answers")).to_contain_text(OLD)
    expect(page.locator("body")).to_contain_text("risk_check")

    # Run again, nothing has changed.
    page.select_option("#from", "retrieve")
    page.locator("#rerun button").click()
    expect(page.locator("#again")).to_contain_text(OLD)

    # Judged, with what is right, and that let into the base.
    page.select_option("#fault", "wrong")
    page.fill("#correct", RIGHT)
    page.locator("#mark button").click()
    expect(page.locator("#judged")).to_contain_text(RIGHT)
    turn = page.url.partition("?")[0]
    page.goto("/desk/knowledge/suggestions")
    ready(page)
    page.locator("#suggestions article").first.locator("button[value=accept]").click()
    expect(page.locator("#suggestions button[value=accept]")).to_have_count(0)

    # Run again from where the knowledge is asked: the new answer, beside the old one.
    page.goto(turn)
    ready(page)
    page.select_option("#from", "retrieve")
    page.locator("#rerun button").click()
    expect(page.locator("#again")).to_contain_text(RIGHT)
    expect(page.locator("#answers")).to_contain_text(OLD)
    assert grave_findings(page) == []

    # Kept, and green: in the console and on the command line, while the service runs.
    page.fill("#name", "拉链")
    page.locator("#save button").click()
    page.wait_for_url("**/desk/reviews/tests*")
    ready(page)
    page.locator("#test-拉链 form[action$=run] button").click()
    expect(page.locator("#report")).to_have_class(re.compile("good"))
    code, told = replayed(service.data_dir)
    assert (code, "1 段通过，0 段失败" in told) == (0, True), told


def test_what_was_put_right_and_breaks_again_is_noticed(service: Service, page: Page) -> None:
    """After the test above: the entry is taken out of the base again."""
    page.goto("/desk/knowledge/suggestions?state=approved")
    ready(page)
    page.locator("#suggestions article").first.locator("button[value=undo]").click()
    expect(page.locator("#suggestions button[value=undo]")).to_have_count(0)
    code, told = replayed(service.data_dir)
    assert (code, "0 段通过，1 段失败" in told) == (1, True), told
    assert "contains 应为 含「帆布包带拉链」" in told
