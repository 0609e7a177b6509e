"""A picture's way through the whole service, without a person: looked at, quoted, done, opened."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image
from sqlalchemy import text

from tests.api.service import Service, running_service
from tests.tools.pictures.drawing import encoded, landscape

KEY = "k" * 40
SCENE = encoded(landscape(400, 300, seed=4))
PATIENCE_S = 60.0


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with running_service(tmp_path / "data", picture_allow_private=True, api_key=KEY) as service:
        service.client.headers["X-API-Key"] = KEY
        yield service


def say(service: Service, content: str, message_id: str, *urls: str) -> str:
    """The words of the answer."""
    pictures = [{"kind": "image", "url": url} for url in urls]
    message = {"id": message_id, "chat_id": "c1", "sender": "c1", "content": content}
    body = {"agent_id": "tests", "message": message | {"attachments": pictures}}
    answer = service.client.post("/api/v1/messages", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["content"])


def order_when(service: Service, status: str) -> dict[str, Any]:
    ends = time.monotonic() + PATIENCE_S
    while True:
        (order,) = service.client.get("/api/orders").json()["items"]
        if order["status"] == status:
            return dict(order)
        assert time.monotonic() < ends, order
        time.sleep(0.05)


def shown(service: Service) -> list[str]:
    """Addresses of pictures that the customer was sent."""
    statement = text("SELECT attachments FROM messages WHERE role = 'assistant' ORDER BY id")
    with service.kefu.engine.database.engine.connect() as connection:
        kept = [row[0] for row in connection.execute(statement) if row[0]]
    return [one["url"] for row in kept for one in json.loads(row)]


def test_a_picture_is_quoted_done_and_opened_by_its_customer(
    service: Service, tmp_path: Path
) -> None:
    sent = service.client.post(
        "/api/pictures", content=SCENE, headers={"Content-Type": "image/png"}
    ).json()["sha256"]
    links = service.kefu.links
    own = urlsplit(links.url(sent))
    url = f"{service.url}{own.path}?{own.query}"
    assert "元" in say(service, "这张图片放大2倍，转成jpg，多少钱", "m1", url)
    assert order_when(service, "quoted")["workflow"] == "process"
    say(service, "好的", "m2")
    order = order_when(service, "delivered")
    (address,) = shown(service)
    where = urlsplit(address)
    with httpx.Client(base_url=service.url, trust_env=False) as customer:
        got = customer.get(f"{where.path}?{where.query}")
        assert customer.get(where.path).status_code == 404
    file = tmp_path / "got"
    file.write_bytes(got.content)
    with Image.open(file) as made:
        assert (made.format, made.size) == ("JPEG", (800, 600))
    assert order["deliverables"] == [where.path.rpartition("/")[2]]
    counted = service.client.get("/metrics").text
    assert 'kefu_orders_worked_total{outcome="delivered",workflow="process"} 1.0' in counted
