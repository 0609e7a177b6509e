"""The price book over HTTP: what is in use, and a changed file without a restart."""

import threading
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from domain.pricing import PriceBook
from tests.api.envelope import refusal
from tests.api.service import Service, running_service

DEFAULT = (resources.files("engine") / "defaults" / "price_book.yaml").read_text("utf-8")
DEARER = (
    DEFAULT.replace('version: "2026.2"', 'version: "2026.3"')
    .replace("    base: 300\n    floor: 240", "    base: 320\n    floor: 240")
    .replace("from_total: 500", "from_total: 900")
)
PRICES, RELOAD = "/api/ops/price-book", "/api/ops/price-book/reload"
ASKED = "设计一个logo多少钱"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "prices.yaml"
    path.write_text(DEFAULT, "utf-8")
    return path


@pytest.fixture
def priced(file: Path, tmp_path: Path) -> Iterator[Service]:
    with running_service(tmp_path / "data", price_book_file=file) as running:
        yield running


def test_the_book_in_use_is_shown(priced: Service, file: Path) -> None:
    shown = priced.client.get(PRICES).json()
    assert (shown["version"], shown["file"], shown["refused"]) == ("2026.2", str(file), None)
    assert shown["fingerprint"] == priced.kefu.prices.book.fingerprint
    services = {one["id"]: one for one in shown["services"]}
    assert services["restore"] == {
        "id": "restore",
        "name": "高清修复",
        "unit": "张",
        "base": 25.0,
        "floor": 18.0,
        "starting_price": False,
        "workflow": "process",
    }
    assert services["logo"]["workflow"] == "design"


def test_a_reloaded_book_prices_the_next_message_and_no_earlier_quote(
    priced: Service, file: Path
) -> None:
    first = priced.ask(ASKED, message_id="m1", chat_id="甲")
    file.write_text(DEARER, "utf-8")
    answer = priced.client.post(RELOAD).json()
    assert (answer["changed"], answer["version"]) == (True, "2026.3")
    second = priced.ask(ASKED, message_id="m2", chat_id="乙")
    priced.ask("好的", message_id="m3", chat_id="甲")
    assert "300元" in str(first)
    assert "320元" in str(second)
    orders = priced.client.get("/api/orders").json()["items"]
    assert [(one["quote"]["book_version"], one["quote"]["total"]) for one in orders] == [
        ("2026.2", 300.0)
    ]


def test_an_unusable_file_is_refused_by_line_and_the_old_book_stays(
    priced: Service, file: Path
) -> None:
    file.write_text(DEFAULT.replace("floor: 18", "floor: 99"), "utf-8")
    field, message = refusal(priced.client.post(RELOAD), 422)
    line = DEFAULT.splitlines().index("    floor: 18") + 1
    assert field == "price_book.services.1.floor"
    assert "2026.2" in message
    assert f"(line {line})" in message
    shown = priced.client.get(PRICES).json()
    assert shown["version"] == "2026.2"
    assert shown["refused"]["field"] == field
    assert shown["refused"]["reason"] in message
    assert "kefu_price_book_refused 1.0" in priced.client.get("/metrics").text


def test_the_file_is_taken_without_a_word(priced: Service, file: Path) -> None:
    prices, changed = priced.kefu.prices, threading.Event()
    take = prices.on_change

    def told(book: PriceBook) -> None:
        take(book)
        changed.set()

    prices.on_change = told
    file.write_text(DEARER, "utf-8")
    assert changed.wait(30)
    assert priced.client.get(PRICES).json()["version"] == "2026.3"
    assert priced.kefu.services.price_book.version == "2026.3"


def test_without_a_file_there_is_nothing_to_reload(service: Service) -> None:
    answer = service.client.post(RELOAD).json()
    assert (answer["changed"], answer["file"]) == (False, None)
