"""What the console's pages send: headers, assets, words, and who may see and do what."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.console.words import table
from tests.api.desk.seats import PASSWORD, new_client
from tests.api.service import Service
from tests.console.conftest import ADMIN, AGENT, NARROW, VIEWER
from tests.console.filled import HOSTILE, Filled, filled

TEMPLATES = Path(__file__).resolve().parents[2] / "api" / "console" / "templates"
PAGES = (
    "/desk",
    "/desk?view=all",
    "/desk/orders",
    "/desk/approvals",
    "/desk/deliveries",
    "/desk/deliveries?state=parked",
    "/desk/tasks",
    "/desk/knowledge",
    "/desk/knowledge/imports",
    "/desk/knowledge/suggestions",
    "/desk/knowledge/unknown",
    "/desk/reviews",
    "/desk/reviews/tests",
    "/desk/search?q=x",
    "/desk/canned",
    "/desk/campaigns",
    "/desk/customers",
    "/desk/clients",
    "/desk/overview",
    "/desk/rules",
    "/desk/agents",
    "/desk/nothing-here",
)


class _Inline(HTMLParser):
    """Scripts, styles and handlers that are part of the page itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs}
        if tag == "style" or (tag == "script" and "src" not in names) or "style" in names:
            self.found.append(tag)
        self.found += [f"{tag}[{name}]" for name in names if name.startswith("on")]


def browser_of(service: Service, login: str) -> httpx.Client:
    """Signed in through the page's form, as a browser does it."""
    client = new_client(service)
    form = {"login": login, "password": PASSWORD, "wanted": "/desk"}
    response = client.post("/desk/sign-in", data=form)
    assert response.status_code == 303, response.text
    assert response.headers["location"] == "/desk"
    return client


def csrf_of(client: httpx.Client) -> str:
    found = re.search(r'data-csrf="([^"]+)"', client.get("/desk").text)
    assert found
    return found.group(1)


@pytest.fixture(scope="module")
def stage(console: Service) -> Filled:
    return filled(console)


@pytest.fixture(scope="module")
def admin(console: Service) -> httpx.Client:
    return browser_of(console, ADMIN)


def test_both_languages_say_the_same_things_with_the_same_facts() -> None:
    chinese, english = table("zh"), table("en")
    assert chinese.keys() == english.keys()
    blanks = re.compile(r"\{(\w+)\}")
    for key, said in chinese.items():
        assert set(blanks.findall(said)) == set(blanks.findall(english[key])), key


def test_templates_name_only_words_that_there_are() -> None:
    named = re.compile(r"""\bt\(["']([\w.]+)["']\s*[,)]""")
    used = {key for file in TEMPLATES.glob("*.html") for key in named.findall(file.read_text())}
    assert len(used) > 200
    assert used <= table("zh").keys()


def test_words_are_in_the_tables_and_not_in_the_templates() -> None:
    for file in TEMPLATES.glob("*.html"):
        text = re.sub(r"\{#.*?#\}", "", file.read_text(), flags=re.DOTALL)
        chinese = set(re.findall(r"[\u4e00-\u9fff]+", text)) - {"客"}  # the mark
        assert not chinese, (file.name, chinese)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_runs_nothing_of_its_own_and_is_kept_by_nobody(
    path: str, admin: httpx.Client, stage: Filled
) -> None:
    response = admin.get(path)
    assert response.status_code == (404 if "nothing" in path else 200)
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    inline = _Inline()
    inline.feed(response.text)
    assert inline.found == []
    assert "<img src=x" not in response.text


def test_assets_are_kept_for_ever_under_the_name_of_their_content(admin: httpx.Client) -> None:
    page = admin.get("/desk").text
    addresses = re.findall(r'"(/assets/console/[^"]+)"', page)
    assert len(addresses) == 2
    script = next(one for one in addresses if one.endswith(".js"))
    imported = re.findall(r'from "([^"]+)"', admin.get(script).text)
    assert imported
    for address in [*addresses, *imported]:
        assert re.search(r"\.[0-9a-f]{12}\.(js|css)$", address)
        found = admin.get(address)
        assert found.status_code == 200
        assert "immutable" in found.headers["cache-control"]
    assert admin.get("/assets/console/console.000000000000.js").status_code == 404


def test_whoever_is_not_signed_in_is_led_to_the_form_and_back(console: Service) -> None:
    client = new_client(console)
    response = client.get("/desk/orders?group=all")
    assert response.status_code == 303
    assert response.headers["location"] == "/desk/sign-in?next=/desk/orders%3Fgroup%3Dall"
    form = client.get(response.headers["location"]).text
    assert 'name="wanted" value="/desk/orders?group=all"' in form
    fetched = client.get("/desk", headers={"X-Console": "1"})
    assert fetched.status_code == 401
    assert fetched.json()["sign_in"] == "/desk/sign-in"


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example", "/\\evil", "/desk\r\nX: 1", "/other"]
)
def test_signing_in_leads_to_no_other_site(wanted: str, console: Service) -> None:
    client = new_client(console)
    form = {"login": AGENT, "password": PASSWORD, "wanted": wanted}
    response = client.post("/desk/sign-in", data=form)
    assert response.headers["location"] == "/desk"


def test_a_wrong_password_is_told_on_the_form_without_the_password(console: Service) -> None:
    client = new_client(console)
    response = client.post("/desk/sign-in", data={"login": "nobody", "password": "secret-word"})
    assert response.status_code == 401
    assert 'role="alert"' in response.text
    assert "secret-word" not in response.text
    assert "set-cookie" not in response.headers


def test_the_language_is_the_readers_choice(admin: httpx.Client) -> None:
    assert 'lang="zh-CN"' in admin.get("/desk", headers={"Accept-Language": "zh-CN,en"}).text
    assert 'lang="en"' in admin.get("/desk", headers={"Accept-Language": "en-US,zh;q=0.5"}).text
    response = admin.get("/desk/language/en", params={"next": "/desk/orders"})
    assert response.headers["location"] == "/desk/orders"
    assert 'lang="en"' in admin.get("/desk", headers={"Accept-Language": "zh-CN"}).text
    assert admin.get("/desk/language/xx").status_code == 404
    admin.cookies.delete("kefu_lang")


UNSAFE: tuple[tuple[str, dict[str, str]], ...] = (
    ("/desk/conversations/{conversation}/take", {}),
    ("/desk/conversations/{conversation}/say", {"text": "您好", "message_id": "m1"}),
    ("/desk/conversations/{conversation}/note", {"text": "注意"}),
    ("/desk/conversations/{conversation}/resolve", {}),
    ("/desk/conversations/{conversation}/mode", {"mode": "copilot"}),
    ("/desk/orders/{order}", {"act": "confirm", "version": "1"}),
    ("/desk/knowledge/entries", {"question": "在吗", "answer": "在的"}),
    ("/desk/turns/{turn}/mark", {"fault": "wrong"}),
    ("/desk/turns/{turn}/rerun", {"from_node": "retrieve"}),
    ("/desk/turns/{turn}/save", {}),
    ("/desk/presence", {"status": "online"}),
)
RULING: tuple[tuple[str, dict[str, str]], ...] = (
    ("/desk/agents", {"agent": "intruder", "role": "admin", "password": PASSWORD}),
    ("/desk/canned", {"shortcut": "xx", "title": "x", "text": "x"}),
)


def _refused(client: httpx.Client, path: str, form: dict[str, str], stage: Filled) -> int:
    facts: dict[str, Any] = {
        "conversation": stage.conversation,
        "order": stage.order,
        "turn": stage.turn,
    }
    return client.post(path.format_map(facts), data=form).status_code


@pytest.mark.parametrize(("path", "form"), UNSAFE + RULING)
def test_nothing_is_done_without_the_pages_token_or_by_who_may_not(
    path: str, form: dict[str, str], console: Service, stage: Filled
) -> None:
    before = console.rows("audit")
    viewer, admin = browser_of(console, VIEWER), browser_of(console, ADMIN)
    assert _refused(admin, path, form, stage) == 403
    assert _refused(admin, path, {**form, "csrf": "guessed"}, stage) == 403
    foreign = {"Origin": "https://evil.example"}
    admin.headers.update(foreign)
    assert _refused(admin, path, {**form, "csrf": csrf_of(admin)}, stage) == 403
    assert _refused(viewer, path, {**form, "csrf": csrf_of(viewer)}, stage) == 403
    if (path, form) in RULING:
        agent = browser_of(console, AGENT)
        assert _refused(agent, path, {**form, "csrf": csrf_of(agent)}, stage) == 403
    assert console.rows("audit") - before <= 8  # sign-ins and presences, nothing else


def test_an_agent_of_another_account_sees_and_does_nothing_here(
    console: Service, stage: Filled
) -> None:
    narrow = browser_of(console, NARROW)
    token = csrf_of(narrow)
    pages = ("/desk?view=all", "/desk/orders?group=all", "/desk/approvals", "/desk/search?q=充电桩")
    for path in pages:
        page = narrow.get(path)
        assert page.status_code == 200
        for theirs in ("周大福", "老照片", "充电桩怎么", "吴小姐"):
            assert theirs not in page.text, (path, theirs)
    for path in (
        f"/desk/conversations/{stage.conversation}",
        f"/desk/orders/{stage.order}",
        f"/desk/turns/{stage.turn}",
    ):
        assert narrow.get(path).status_code == 404
    for path in ("/desk/tasks", "/desk/knowledge/unknown", "/desk/knowledge/suggestions"):
        assert narrow.get(path).status_code == 403
    assert narrow.get("/desk/agents").status_code == 403
    for path, form in UNSAFE[:6]:
        assert _refused(narrow, path, {**form, "csrf": token}, stage) == 404
    approval = {"decision": "approve", "csrf": token}
    assert narrow.post("/desk/approvals/1", data=approval).status_code == 404


def test_hostile_names_and_words_are_shown_as_they_are_written(
    admin: httpx.Client, stage: Filled
) -> None:
    page = admin.get(f"/desk/conversations/{stage.conversation}").text
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "{{7*7}}" in page
    assert HOSTILE not in page


def test_a_picture_is_shown_to_who_may_see_its_order_only(
    console: Service, admin: httpx.Client, stage: Filled
) -> None:
    page = admin.get(f"/desk/orders/{stage.order}").text
    address = re.search(r'src="(/desk/orders/\d+/pictures/[0-9a-f]{64})"', page)
    assert address
    shown = admin.get(address.group(1))
    assert shown.headers["content-type"] == "image/png"
    assert "sandbox" in shown.headers["content-security-policy"]
    assert browser_of(console, NARROW).get(address.group(1)).status_code == 404
    unknown = address.group(1)[:-64] + "0" * 64
    assert admin.get(unknown).status_code == 404


def test_errors_are_pages_for_people_and_lines_for_the_script(admin: httpx.Client) -> None:
    missing = admin.get("/desk/conversations/c_none")
    assert missing.status_code == 404
    assert "没有找到" in missing.text
    fetched = admin.get("/desk/conversations/c_none", headers={"X-Console": "1"})
    assert fetched.json()["message"]
    odd = admin.get("/desk?view=sideways")
    assert odd.status_code == 422
    assert "<h1>" in odd.text
