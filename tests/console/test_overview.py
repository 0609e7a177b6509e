"""The overview: the figures of the API, drawn, and for whom it is."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from api.console.words import table
from domain.alerts import AlertName
from engine.figures.words import TITLES
from tests.api.desk.seats import KEY, WITH_KEY, employ
from tests.api.service import Service, running_service
from tests.console.conftest import ADMIN, NARROW, VIEWER
from tests.console.test_pages import browser_of

OVERVIEW = "/desk/overview"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that has answered, and in which something was given up."""
    folder = tmp_path_factory.mktemp("overview")
    with running_service(folder, api_key=KEY, alerts=True, alert_check_s=0.2) as service:
        service.client.headers.update(WITH_KEY)
        for login, role, scopes in (
            (ADMIN, "admin", ["*"]),
            (VIEWER, "viewer", ["*"]),
            (NARROW, "agent", ["nowhere:else"]),
        ):
            employ(service, login, role=role, scopes=scopes)
        service.ask("你好", message_id="1", chat_id="ann")
        service.ask("我要投诉，找人工", message_id="2", chat_id="ben")
        yield service


class _Tables(HTMLParser):
    """The cells of every table by its caption or the region around it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, list[list[str]]] = {}
        self._name, self._cell = "", False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if values.get("role") == "region":
            self._name = values.get("aria-label") or ""
            self.found[self._name] = []
        elif tag == "tr":
            self.found.setdefault(self._name, []).append([])
        elif tag in ("td", "th"):
            self.found[self._name][-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.found[self._name][-1][-1] += data.strip()


def tables(page: str) -> dict[str, list[list[str]]]:
    parser = _Tables()
    parser.feed(page)
    return parser.found


def period(service: Service) -> dict[str, Any]:
    found: dict[str, Any] = service.client.get("/api/v1/stats", params={"by": "day"}).json()
    return dict(found["period"])


def test_the_page_shows_the_figures_of_the_api(told: Service) -> None:
    page = browser_of(told, ADMIN).get(OVERVIEW)
    assert page.status_code == 200
    shown, items = tables(page.text)["消息数"], period(told)["items"]
    assert shown[0] == ["日期", "消息数", "对话轮次", "负面情绪"]
    assert shown[1:] == [
        [one["key"], str(one["messages"]), str(one["turns"]), str(one["negative"])]
        for one in reversed(items)
    ]
    assert shown[1][1] == "2"
    channels = tables(page.text)["按渠道"]
    assert [row[:2] for row in channels] == [["渠道", "消息数"], ["接口", "2"]]


def test_every_chart_has_a_name_and_its_table(told: Service) -> None:
    page = browser_of(told, ADMIN).get(OVERVIEW).text
    charts = re.findall(r'<svg class="chart"[^>]*role="img" aria-label="([^"]+)"', page)
    assert len(charts) == 4
    assert set(tables(page)) >= {"消息数", "解决率与转人工率", "响应时间", "Token"}
    assert page.count("<title>20") == 4 * 7


@pytest.mark.parametrize("days", ["7", "14", "30"])
def test_a_period_has_as_many_days_as_it_says(told: Service, days: str) -> None:
    page = browser_of(told, ADMIN).get(OVERVIEW, params={"days": days}).text
    assert len(tables(page)["消息数"]) == int(days) + 1


def test_another_number_of_days_is_refused(told: Service) -> None:
    assert browser_of(told, ADMIN).get(OVERVIEW, params={"days": "8"}).status_code == 422


def test_who_sees_one_account_sees_no_figures_of_all(told: Service) -> None:
    narrow = browser_of(told, NARROW)
    assert narrow.get(OVERVIEW).status_code == 403
    assert OVERVIEW not in narrow.get("/desk").text
    viewer = browser_of(told, VIEWER)
    assert viewer.get(OVERVIEW).status_code == 200
    assert OVERVIEW in viewer.get("/desk").text


def test_an_alert_is_shown_while_it_fires(told: Service) -> None:
    admin = browser_of(told, ADMIN)
    with told.kefu.engine.database.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO dead_letters (conversation_id, message_ids, error, attempts, status,"
                " created_at) VALUES ('c', '[]', 'e', 3, 'parked', 'now')"
            )
        )
    _until_firing(told, admin)
    page = admin.get(OVERVIEW).text
    assert "当前 1 条，阈值 0 条。 处理失败 1 条" in page
    english = admin.get(OVERVIEW, headers={"Accept-Language": "en"}).text
    assert "Messages or deliveries were given up" in english


def _until_firing(service: Service, admin: httpx.Client) -> None:
    for _ in range(400):
        found = service.client.get("/api/v1/alerts").json()["items"]
        if any(one["name"] == "dead_letters" and one["state"] == "firing" for one in found):
            return
    raise AssertionError("the alert does not fire")


def test_every_alert_has_its_name_in_both_languages() -> None:
    for name in AlertName:
        assert table("zh")[f"alert.{name}"] == TITLES[name]
        assert table("en")[f"alert.{name}"]


def test_without_alerts_the_page_says_so(console: Service) -> None:
    assert "KEFU_ALERTS=false" in browser_of(console, ADMIN).get(OVERVIEW).text
