"""The chat page in a real browser, against the running service."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.browser import Browser, Page, running_browser
from tests.api.service import Service, running_service
from tests.sandbox_server import SandboxServer, sandbox_server, shared_sandbox
from tests.service import sample_data

__all__ = ["sandbox_server", "shared_sandbox"]

QUESTION = "充电桩怎么安装？"
MODEL_QUESTION = "帆布包有没有拉链"
LAST = "#talk .turn:last-child"
DONE = "document.querySelector('#talk').ariaBusy === 'false'"
KEY = "page-key"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as started:
        yield started


@pytest.fixture(scope="module")
def knowledge() -> Path:
    return sample_data()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, knowledge: Path) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("page"), knowledge=knowledge) as running:
        yield running


@pytest.fixture(scope="module")
def hasty(
    tmp_path_factory: pytest.TempPathFactory, knowledge: Path, shared_sandbox: SandboxServer
) -> Iterator[Service]:
    """With a model, with a key, and with little patience."""
    with running_service(
        tmp_path_factory.mktemp("hasty"),
        knowledge=knowledge,
        sandbox_url=shared_sandbox.url,
        deepseek_api_key="sk-test",
        api_key=KEY,
        sync_deadline_s=0.5,
    ) as running:
        yield running


@pytest.fixture
def page(browser: Browser, service: Service) -> Iterator[Page]:
    """The page as opened; the browser must have nothing to complain of until the end."""
    with browser.page() as opened:
        opened.size(1280, 860)
        opened.open(f"{service.url}/")
        yield opened
        opened.evaluate("0")
        assert opened.problems == []


@pytest.fixture
def hasty_page(browser: Browser, hasty: Service, sandbox_server: SandboxServer) -> Iterator[Page]:
    """The page with its key given."""
    with browser.page() as opened:
        opened.open(f"{hasty.url}/")
        opened.click("#gear")
        opened.type(KEY)
        opened.press("Enter")
        opened.wait_for("document.querySelector('#settings.hidden')")
        yield opened
        assert opened.problems == []


def ask(page: Page, text: str) -> None:
    """Type and press Enter, then wait until the page takes the next message."""
    page.click("#text")
    page.type(text)
    page.press("Enter")
    page.wait_for(f"{DONE} && document.querySelectorAll('.facts').length")


def rows_of(page: Page, selector: str) -> list[list[str]]:
    """Cells of the rows that match."""
    found: list[list[str]] = page.evaluate(
        f"[...document.querySelectorAll('{selector}')]"
        ".map((row) => [...row.children].map((cell) => cell.innerText))"
    )
    return found


def test_the_page_loads_from_the_service_alone(page: Page, service: Service) -> None:
    assert "有什么可以帮助您" in page.text("#welcome")
    assert page.requests
    assert all(url.startswith((service.url, "data:")) for url in page.requests)


def test_a_typed_question_shows_answer_nodes_confidence_and_evidence(page: Page) -> None:
    ask(page, QUESTION)
    assert page.text(f"{LAST} .mine") == QUESTION
    assert "勘测" in page.text(f"{LAST} .theirs")
    nodes = [label.split("\n")[0] for label in page.texts(f"{LAST} .nodes li")]
    assert [re.sub(r"[<\d].*", "", node).strip() for node in nodes] == [
        "理解问题",
        "检索知识",
        "风险评估",
        "组织回复",
    ]
    assert page.evaluate("document.querySelectorAll('.nodes .running').length") == 0
    facts = page.text(f"{LAST} .facts")
    assert "已回复" in facts
    assert "直接回答" in facts
    assert re.search(r"(7[5-9]|[89]\d|100)%", facts)
    assert page.evaluate(f"document.querySelector('{LAST} meter').value") >= 0.75
    page.click(f"{LAST} details summary")
    evidence = page.text(f"{LAST} details[open]")
    assert "充电桩怎么安装" in evidence
    assert "charging_pile.md" in evidence


def test_a_quote_is_a_table_in_yuan_whose_items_add_up(page: Page) -> None:
    ask(page, "10张老照片做高清修复多少钱？")
    assert "高清修复" in page.text("caption")
    items = rows_of(page, "tbody tr")
    ((label, _, total),) = rows_of(page, "tfoot tr")
    assert items
    assert label == "合计"
    amounts = [float(cell[-1].replace("¥", "")) for cell in items]
    assert sum(amounts) == pytest.approx(float(total.removeprefix("¥")))
    assert amounts[0] == 250.0
    spoken = page.text(f"{LAST} .theirs")
    assert f"{float(total.removeprefix('¥')):g}" in spoken


def test_an_escalation_says_so_and_so_does_a_person_who_took_it(
    page: Page, service: Service
) -> None:
    page.click("#cards button:last-child")
    page.wait_for(f"{DONE} && document.querySelector('.tag.bad')")
    assert page.text(f"{LAST} .mine") == "我要投诉！"
    assert page.text(f"{LAST} .tag") == "已转人工"
    assert "转接人工" in page.text(f"{LAST} .nodes")
    (handoff,) = service.client.get("/api/ops/handoffs", params={"limit": 1}).json()["items"]
    taken = service.client.post(f"/api/ops/handoffs/{handoff['id']}", json={"status": "taken"})
    assert taken.status_code == 200
    ask(page, "在吗")
    assert page.text(f"{LAST} .tag") == "人工处理中"


def test_shift_enter_breaks_the_line_and_the_button_sends(page: Page) -> None:
    page.click("#text")
    assert page.evaluate("document.querySelector('#send').disabled") is True
    page.type("你好")
    page.press("Enter", shift=True)
    page.type("在吗")
    assert page.texts("#talk .mine") == []
    page.click("#send")
    page.wait_for(f"{DONE} && document.querySelector('.facts')")
    assert page.text(f"{LAST} .mine") == "你好\n在吗"


@pytest.mark.parametrize(
    "markup",
    ["<img src=x onerror=document.title='hit'>", "</div><script>document.title='hit'</script>"],
)
def test_what_a_customer_writes_is_shown_as_text_and_never_runs(page: Page, markup: str) -> None:
    ask(page, markup)
    assert page.text(f"{LAST} .mine") == markup
    assert page.evaluate("document.querySelectorAll('#talk img, #talk script').length") == 0
    assert page.evaluate("document.title") != "hit"


def test_code_that_is_not_the_page_s_own_does_not_run(browser: Browser, service: Service) -> None:
    with browser.page() as page:
        page.open(f"{service.url}/")
        page.evaluate(
            "document.body.append(Object.assign(document.createElement('script'),"
            " { textContent: 'document.title = `hit`' }))"
        )
        assert page.evaluate("document.title") != "hit"
        assert any("Content Security Policy" in problem for problem in page.problems)


def test_a_new_conversation_starts_empty_and_under_another_name(page: Page) -> None:
    ask(page, "你好")
    before = page.evaluate("localStorage.getItem('kefu.chat_id')")
    page.click("#fresh")
    page.wait_for("document.querySelector('#welcome')")
    assert page.texts("#talk .mine") == []
    assert page.evaluate("localStorage.getItem('kefu.chat_id')") not in (None, before)


def test_the_conversation_keeps_its_name_over_a_reload(page: Page, service: Service) -> None:
    before = page.evaluate("localStorage.getItem('kefu.chat_id')")
    page.open(f"{service.url}/")
    assert page.evaluate("localStorage.getItem('kefu.chat_id')") == before


def test_without_network_the_page_says_so_and_a_retry_is_handled_once(
    browser: Browser, service: Service
) -> None:
    with browser.page() as page:
        page.open(f"{service.url}/")
        page.offline(True)
        ask(page, QUESTION)
        assert "网络连接失败" in page.text(f"{LAST} .theirs")
        page.offline(False)
        before = service.rows("turns")
        page.click(".retry")
        page.wait_for(f"{DONE} && document.querySelector('.tag.good')")
        assert "勘测" in page.text(f"{LAST} .theirs")
        assert len(page.texts("#talk .mine")) == 1
        assert service.rows("turns") == before + 1


@pytest.mark.parametrize(("width", "height"), [(320, 568), (390, 844), (768, 1024), (1920, 1080)])
def test_everything_is_within_reach_on_every_screen(page: Page, width: int, height: int) -> None:
    page.size(width, height, mobile=width < 500)
    ask(page, "这张老照片做高清修复多少钱？")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.documentElement.scrollHeight") <= height
    for selector in ("#send", "#text", "#fresh", "#gear"):
        box = page.evaluate(
            f"(({{left, right, top, bottom}}) => [left, right, top, bottom])"
            f"(document.querySelector('{selector}').getBoundingClientRect())"
        )
        assert 0 <= box[0] < box[1] <= width
        assert 0 <= box[2] < box[3] <= height


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_its_ground_in_both_schemes(page: Page, dark: bool) -> None:
    """WCAG AA: 4.5 to 1."""
    page.dark(dark)
    ask(page, QUESTION)
    page.evaluate("document.querySelectorAll('details').forEach((part) => part.open = true)")
    for selector in (".mine", ".theirs", ".facts", ".tag", ".nodes li", ".proof .from", "#hint"):
        ratio = page.evaluate(_CONTRAST.replace("SELECTOR", selector))
        assert ratio >= 4.5, f"{selector}: {ratio}"


_CONTRAST = """(() => {
    const channels = (color) => color.match(/[\\d.]+/g).map(Number);
    const light = ([red, green, blue]) => {
        const linear = [red, green, blue].map((value) => value / 255)
            .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    const element = document.querySelector("SELECTOR");
    let ground = element;
    while (channels(getComputedStyle(ground).backgroundColor)[3] === 0) {
        ground = ground.parentElement;
    }
    const ink = light(channels(getComputedStyle(element).color));
    const paper = light(channels(getComputedStyle(ground).backgroundColor));
    return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
})()"""


def test_a_missing_key_is_asked_for_and_the_message_sent_with_it(
    browser: Browser, hasty: Service
) -> None:
    with browser.page() as page:
        page.open(f"{hasty.url}/")
        ask(page, "你好")
        assert "密钥" in page.text(f"{LAST} .theirs")
        page.wait_for("document.activeElement.id === 'key'")
        page.type(KEY)
        page.press("Enter")
        page.click(".retry")
        page.wait_for(f"{DONE} && document.querySelector('.tag.good')")
        assert len(page.texts("#talk .mine")) == 1


def test_a_model_s_answer_replaces_what_was_taken_back(
    hasty_page: Page, sandbox_server: SandboxServer
) -> None:
    sandbox_server.script(MODEL_QUESTION, "有拉链,今天只要 3 元。")
    ask(hasty_page, MODEL_QUESTION)
    hasty_page.wait_for("document.querySelector('.tag.good')")
    assert hasty_page.text(f"{LAST} .theirs").startswith("帆布包 99 元")
    assert len(hasty_page.texts(f"{LAST} .nodes li")) == 4


def test_a_late_answer_arrives_by_itself(hasty_page: Page, sandbox_server: SandboxServer) -> None:
    sandbox_server.script(MODEL_QUESTION, "帆布包有拉链[1]。", latency=1.0)
    ask(hasty_page, MODEL_QUESTION)
    assert hasty_page.text(f"{LAST} .tag") == "稍后回复"
    hasty_page.wait_for("document.querySelector('.tag.good')")
    assert hasty_page.text(f"{LAST} .theirs") == "帆布包有拉链。"
    assert hasty_page.text(f"{LAST} .tag") == "已回复"
