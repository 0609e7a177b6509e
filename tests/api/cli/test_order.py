"""`kefu order`: the running service is asked over HTTP, and its answers are shown."""

import asyncio
import hashlib
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from PIL import Image
from typer.testing import CliRunner, Result

from api.cli.main import cli
from domain.errors import PeerUnavailable
from engine.orders.desk import DeskPolicy
from tests.api.orders.conftest import app_for
from tests.databases import open_database
from tests.engine.orders.desk import CHANNELS, Bench
from tests.service import free_port
from tools.pictures.store import PictureStore

MADE = "https://shop.example/done.png"


@dataclass
class Running:
    url: str
    bench: Bench

    def order(self, **changes: Any) -> int:
        return int(asyncio.run(self.bench.order(**changes))["id"])

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, ["order", *arguments, "--url", self.url])

    def done(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
        return result.stdout


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("orders")
    store = PictureStore(folder / "pictures")
    policy = DeskPolicy(
        channels=CHANNELS,
        dispatching=True,
        picture_url=lambda sha256: f"https://kefu.example/{sha256}",
        known_pictures=lambda sha256: store.path(sha256).is_file(),
    )
    with open_database(f"sqlite:///{folder / 'kefu.db'}") as database:
        bench = Bench(database, policy)
        asyncio.run(bench.customer_writes())
        with _Served(bench, store) as url:
            yield Running(url, bench)


class _Served:
    def __init__(self, bench: Bench, store: PictureStore) -> None:
        app = app_for(bench, store, key=None)
        self._server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],))

    def __enter__(self) -> str:
        self._thread.start()
        ends = time.monotonic() + 60
        while not self._server.started and time.monotonic() < ends:
            time.sleep(0.01)
        assert self._server.started
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self._listener.close()


def test_an_order_is_listed_shown_and_goes_its_way(running: Running) -> None:
    order = str(running.order(requirement="抠图,换成白底,[粗体]"))
    listed = running.done("list", "--status", "quoted", "--customer", "customer_123")
    assert "共 1 个订单,第 1 页,本页 1 个" in listed
    assert "customer_123" in listed
    said = running.done("amend", order, "加急", "--kind", "add")
    assert said == f"订单 {order}  已报价  12 元\n"
    assert running.done("confirm", order) == f"订单 {order}  已确认  12 元\n"
    assert "已交付" in running.done("deliver", order, MADE, "--note", "请看")
    assert "返工中" in running.done("rework", order, "--note", "边缘")
    assert "已交付" in running.done("deliver", order, MADE, "--quiet")
    assert "已验收" in running.done("accept", order)
    shown = running.done("show", order)
    for part in ("加急费 4 元", "换成白底", "[粗体]", MADE, "amended", "confirmed", "local"):
        assert part in shown


def test_json_is_what_the_service_answered(running: Running) -> None:
    order = running.order()
    shown = json.loads(running.done("show", str(order), "--json"))
    assert (shown["id"], shown["requirements"]) == (order, ["抠图", "换成白底"])
    cancelled = json.loads(running.done("cancel", str(order), "--reason", "不要了", "--json"))
    assert cancelled["status"] == "cancelled"
    page = json.loads(running.done("list", "--status", "cancelled", "--json"))
    assert order in [one["id"] for one in page["items"]]


def test_a_picture_file_is_uploaded_and_delivered(running: Running, tmp_path: Path) -> None:
    order = str(running.order())
    running.done("confirm", order)
    file = tmp_path / "成品.png"
    out = io.BytesIO()
    Image.new("RGB", (60, 60), "red").save(out, "PNG")
    file.write_bytes(out.getvalue())
    running.done("deliver", order, str(file))
    shown = json.loads(running.done("show", order, "--json"))
    assert shown["deliverables"] == [hashlib.sha256(out.getvalue()).hexdigest()]


def test_a_designer_is_given_it(running: Running) -> None:
    order = str(running.order())
    running.done("confirm", order)
    assert "等待设计师" in running.done("assign", order, "橘子")
    assert json.loads(running.done("show", order, "--json"))["designer"] == "橘子"


def test_a_refusal_is_said_on_the_error_output_and_ends_with_1(running: Running) -> None:
    order = str(running.order())
    result = running.run("accept", order)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "已报价" in result.stderr
    assert running.run("show", "999999").exit_code == 1
    assert running.run("deliver", order, "/no/such/file.png").exit_code == 2


def test_a_service_that_is_not_there_is_said_so() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    result = CliRunner().invoke(cli, ["order", "list", "--url", url])
    assert isinstance(result.exception, PeerUnavailable)
