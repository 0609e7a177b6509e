"""Something of everything in the service, so that made-up requests meet rows that exist."""

import time
from typing import Any

import httpx

UNKNOWN = ("露天车位能装充电桩吗", "支持以旧换新吗", "可以对公转账吗", "有没有线下门店")
CUSTOMER = "fuzz-customer"
"""Asks for answers itself; PUSHED is sent them."""
PUSHED = "fuzz-pushed"
_ROWS = [1, 2, 3, 4]


def fill(client: httpx.Client) -> dict[str, list[Any]]:
    """Ids that exist, and other values that can be used, by the names that the API gives them."""
    entries = _entries(client)
    _talk(client)
    _write(client)
    tomorrow = time.time() + 86_400
    return {
        "account": ["shop"],
        "agent_id": ["fuzz"],
        "message_id": [f"fuzz-{number}" for number in range(len(UNKNOWN))],
        "customer_id": [PUSHED, PUSHED, CUSTOMER],
        "time": [time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(tomorrow))],
        "timestamp": [int(time.time())],
        "url": ["https://example.com/a.png"],
        "file_url": ["https://example.com/a.pdf"],
        "image_url": ["https://example.com/a.png"],
        "task_id": _tasks(client),
        "entry_id": entries,
        "version": _ROWS,
        "cluster_id": _clusters(client),
        "question_id": _ROWS,
        "suggestion_id": _ROWS,
        "handoff_id": _ROWS,
        "delivery_id": _ROWS,
        "dead_letter_id": _ROWS,
        "name": _tools(client),
    }


def _talk(client: httpx.Client) -> None:
    for number, question in enumerate(UNKNOWN):
        message = {"id": f"fuzz-{number}", "chat_id": f"c{number}", "content": question}
        message |= {"sender": CUSTOMER, "sender_id": CUSTOMER}
        body = {"agent_id": "fuzz", "message": message}
        _sent(client, "/api/v1/messages", body)


def _write(client: httpx.Client) -> None:
    """Over a channel that pushes."""
    message: dict[str, Any] = {"message_id": "fuzz-w", "text": "转人工"}
    message |= {"chat_id": PUSHED, "sender_id": PUSHED, "timestamp": int(time.time())}
    _sent(client, "/api/channels/webhook/shop/messages", message)


def _tasks(client: httpx.Client) -> list[str]:
    ids = [f"FUZZ_{number}" for number in range(3)]
    for task_id in ids:
        task = {
            "task_id": task_id,
            "type": "send_file_after_reply",
            "customer": {"id": PUSHED, "name": "小明"},
            "trigger": {
                "type": "specified_customer_reply",
                "customer_id": PUSHED,
                "keyword": "好的",
            },
            "action": {"type": "send_message", "message": "这是您要的文件"},
        }
        _sent(client, "/api/task/receive", task)
    return ids


def _entries(client: httpx.Client) -> list[str]:
    return [entry["id"] for entry in _items(client, "/api/knowledge/entries")]


def _clusters(client: httpx.Client) -> list[int]:
    return [cluster["id"] for cluster in _items(client, "/api/knowledge/unknown")]


def _items(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    """Samples are imported, and questions gathered into clusters, a moment later."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        items: list[dict[str, Any]] = client.get(path).raise_for_status().json()["items"]
        if items:
            return items
        time.sleep(0.05)
    raise AssertionError(f"{path} stays empty")


def _tools(client: httpx.Client) -> list[str]:
    page = client.get("/api/tools").raise_for_status().json()
    return [tool["name"] for tool in page["tools"]]


def _sent(client: httpx.Client, path: str, body: dict[str, Any]) -> None:
    response = client.post(path, json=body)
    assert response.is_success, f"{path}: {response.status_code} {response.text}"
