"""What simulated designers do with the tasks that Tuhui gives them."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.deliverables import Deliverables
from sandbox.designers import AutomaticDesigners, Habits
from sandbox.dispatch import Caller, Dispatch, DispatchTask, NewTask
from tests.api.browser import Browser, running_browser
from tests.sandbox.service import running_service
from tests.sandbox.test_tuhui import KEY, Tuhui
from tests.sandbox_server import JsonObject, SandboxServer, running_sandbox

PICTURE = b"\x89PNG\r\n\x1a\nwhatever"
CALLBACK = "/api/tuhui/callback"


@pytest.fixture
def tuhui(sandbox_server: SandboxServer) -> Tuhui:
    return Tuhui(sandbox_server)


def does(tuhui: Tuhui, task_id: str, step: str, body: object = None) -> httpx.Response:
    path = f"{tuhui.sandbox.url}/_sandbox/tuhui/tasks/{task_id}/{step}"
    return tuhui.sandbox.client.post(path, json=body)


def given(tuhui: Tuhui, designer: str = "橘子") -> str:
    task_id = tuhui.create()
    assert tuhui.assign(task_id, designer).is_success
    return task_id


def upload(tuhui: Tuhui, name: str, data: bytes = PICTURE) -> httpx.Response:
    path = f"{tuhui.sandbox.url}/_sandbox/tuhui/files"
    return tuhui.sandbox.client.post(path, params={"name": name}, content=data)


def until(holds: Callable[[], bool], *, within: float = 60.0) -> None:
    ends = time.monotonic() + within
    while not holds():
        assert time.monotonic() < ends, "it never came true"
        time.sleep(0.02)


def ended(tuhui: Tuhui, task_id: str) -> JsonObject:
    until(lambda: tuhui.task(task_id)["status"] == "completed")
    return tuhui.task(task_id)


# By hand ------------------------------------------------------------------------------------


def test_a_designer_accepts_and_hands_over_what_was_made(tuhui: Tuhui) -> None:
    task_id = given(tuhui)
    assert does(tuhui, task_id, "accept").json()["status"] == "accepted"
    url = upload(tuhui, "成品.png").json()["url"]
    made = {"notes": "请查收", "files": [url]}
    assert does(tuhui, task_id, "finish", made).json() == {
        "success": True,
        "task_id": task_id,
        "status": "completed",
        "assigned_to": "橘子",
    }
    task = tuhui.task(task_id)
    assert (task["files"], task["notes"]) == ([url], "请查收")
    fetched = tuhui.sandbox.client.get(url)
    assert (fetched.content, fetched.headers["content-type"]) == (PICTURE, "image/png")
    assert [entry["kind"] for entry in tuhui.sandbox.journal("tuhui")][-1] == "file"


def test_a_refused_task_waits_for_somebody_else(tuhui: Tuhui) -> None:
    task_id = given(tuhui)
    assert does(tuhui, task_id, "refuse", {"notes": "太忙"}).json()["assigned_to"] is None
    task = tuhui.task(task_id)
    assert (task["status"], task["refused_by"], task["notes"]) == ("refused", ["橘子"], "太忙")
    queue = tuhui.ask("GET", "/dispatch/queue").json()
    assert [waiting["task_id"] for waiting in queue["pending_tasks"]["tasks"]] == [task_id]
    assert tuhui.assign(task_id, "婷婷").json()["status"] == "assigned"
    assert tuhui.ask("GET", "/dispatch/queue").json()["suggestion"] == "橘子"


def test_the_same_step_again_changes_nothing(tuhui: Tuhui) -> None:
    task_id = given(tuhui)
    for step in ("accept", "accept", "refuse", "refuse"):
        assert does(tuhui, task_id, step).is_success
    assert tuhui.task(task_id)["refused_by"] == ["橘子"]
    tuhui.assign(task_id, "橘子")
    for notes in ("一", "二"):
        assert does(tuhui, task_id, "finish", {"notes": notes}).is_success
    assert tuhui.task(task_id)["notes"] == "一"


@pytest.mark.parametrize(
    ("step", "status"), [("accept", 409), ("refuse", 409), ("finish", 409), ("dance", 404)]
)
def test_nobody_works_on_what_nobody_was_given(tuhui: Tuhui, step: str, status: int) -> None:
    assert does(tuhui, tuhui.create(), step).status_code == status
    assert does(tuhui, "ea853bd9", step).status_code == 404


def test_what_is_done_is_not_refused_any_more(tuhui: Tuhui) -> None:
    task_id = given(tuhui)
    does(tuhui, task_id, "finish")
    assert does(tuhui, task_id, "refuse").status_code == 409
    assert does(tuhui, task_id, "accept").json()["status"] == "completed"


@pytest.mark.parametrize("file", ["ftp://h/x", "javascript:alert(1)", "x.png", "http://a b"])
def test_only_addresses_are_handed_over(tuhui: Tuhui, file: str) -> None:
    task_id = given(tuhui)
    assert does(tuhui, task_id, "finish", {"files": [file]}).status_code == 422
    assert tuhui.task(task_id)["status"] == "assigned"


def test_what_is_no_picture_is_handed_out_and_never_run(tuhui: Tuhui) -> None:
    url = upload(tuhui, "../../page.html", b"<script>").json()["url"]
    answer = tuhui.sandbox.client.get(url)
    assert url.endswith("/page.html")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert tuhui.sandbox.client.get(url + "x").status_code == 404


def test_a_file_has_something_in_it_and_not_too_much(tuhui: Tuhui) -> None:
    assert upload(tuhui, "x.png", b"").status_code == 422
    assert upload(tuhui, "x.png", bytes(16 * 1024 * 1024 + 1)).status_code == 413


def test_of_too_many_files_the_oldest_are_forgotten() -> None:
    files = Deliverables()
    paths = [files.keep(f"{number}.png", bytes([number])) for number in range(202)]
    assert [files.get(path) is None for path in paths] == [True] * 2 + [False] * 200
    assert files.get(files.keep("..", b"x")) is not None


def test_the_key_of_the_caller_is_never_shown(tuhui: Tuhui) -> None:
    tuhui.create()
    state = tuhui.sandbox.get("/_sandbox/tuhui/state")
    queue = tuhui.ask("GET", "/dispatch/queue").text
    assert KEY["X-API-Key"] not in str(state) + queue


# By themselves ------------------------------------------------------------------------------


def test_automatic_designers_take_a_task_to_its_end(tuhui: Tuhui) -> None:
    before = given(tuhui)
    tuhui.sandbox.put("/_sandbox/tuhui/automatic", {"accept_s": 0.05, "finish_s": 0.05})
    task = ended(tuhui, before)
    assert task["accepted_at"] <= task["completed_at"]
    (file,) = task["files"]
    picture = tuhui.sandbox.client.get(file)
    assert picture.content.startswith(b"\x89PNG")
    after = ended(tuhui, given(tuhui))
    assert tuhui.sandbox.client.get(after["files"][0]).content != picture.content


class Studio:
    """Automatic designers whose time passes when the test says so."""

    def __init__(self, **habits: Any) -> None:
        self.dispatch = Dispatch(100, time.time, self.moved)
        self.automatic = AutomaticDesigners(self.dispatch, lambda task: f"http://x/{task.task_id}")
        self.history: list[tuple[str, str]] = []
        self.habits = Habits(accept_s=0.0, finish_s=0.0, **habits)
        self.automatic.work(self.habits)

    def moved(self, task: DispatchTask) -> None:
        self.history.append((task.task_id, task.status))
        self.automatic.look(task)

    def give(self, designer: str = "橘子") -> DispatchTask:
        task, _ = self.dispatch.create(NewTask(task_name="图"), Caller("http://x", "k"))
        self.dispatch.assign(task.task_id, designer, "")
        return task

    def statuses(self, task: DispatchTask) -> list[str]:
        return [status for task_id, status in self.history if task_id == task.task_id]


async def rest() -> None:
    """Timers of zero seconds fire one a round of the loop."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_share_of_the_tasks_is_refused_as_the_seed_says() -> None:
    def outcomes() -> list[bool]:
        return [bool(task.refused_by) for task in studio.dispatch]

    shares = []
    for _ in range(2):
        studio = Studio(refuse_share=0.5, seed=7)
        for _ in range(40):
            studio.give()
        await rest()
        shares.append(outcomes())
    assert shares[0] == shares[1]
    assert 10 < sum(shares[0]) < 30


async def test_what_everybody_else_has_refused_is_accepted() -> None:
    studio = Studio(refuse_share=1.0)
    task = studio.give()
    await rest()
    assert (task.status, task.refused_by) == ("refused", ("橘子",))
    studio.dispatch.assign(task.task_id, "婷婷", "")
    await rest()
    assert studio.statuses(task)[-3:] == ["assigned", "accepted", "completed"]


async def test_a_task_that_moved_otherwise_is_left_alone() -> None:
    studio = Studio()
    task = studio.give()
    studio.dispatch.assign(task.task_id, "婷婷", "")
    studio.dispatch.finish(task.task_id, "自己做完了")
    await rest()
    assert studio.statuses(task) == ["pending", "assigned", "assigned", "completed"]
    assert task.notes == "自己做完了"


async def test_designers_stop_working_by_themselves_when_told() -> None:
    studio = Studio()
    task = studio.give()
    studio.automatic.work(Habits(on=False))
    await rest()
    assert task.status == "assigned"


def test_a_sandbox_can_begin_with_everybody_at_work() -> None:
    with running_sandbox(extra=["--automatic"]) as sandbox:
        state = sandbox.get("/_sandbox/tuhui/state")
        assert (state["automatic"]["on"], state["callback"]) == (True, CALLBACK)
        sandbox.put("/_sandbox/tuhui/automatic", {"on": False})
        sandbox.reset()
        assert sandbox.get("/_sandbox/tuhui/state")["automatic"]["on"] is True


# Word to the service ------------------------------------------------------------------------


def told(sandbox: SandboxServer, times: int) -> None:
    wanted = {"pending": 0, "delivered": times}
    until(lambda: bool(sandbox.get("/_sandbox/tuhui/state")["told"] == wanted))


def test_news_are_told_with_the_key_of_who_wanted_the_task(tuhui: Tuhui) -> None:
    with running_service() as service:
        tuhui.sandbox.set_target(service.url)
        tuhui.sandbox.put("/_sandbox/tuhui/callback", {"path": CALLBACK})
        task_id = given(tuhui)
        for step in ("accept", "finish", "finish"):
            does(tuhui, task_id, step)
        told(tuhui.sandbox, 2)
        news = [(arrival.path, arrival.json()["status"]) for arrival in service.arrivals]
        assert news == [(CALLBACK, "accepted"), (CALLBACK, "completed")]
        assert {arrival.headers["x-api-key"] for arrival in service.arrivals} == {KEY["X-API-Key"]}
        assert {arrival.json()["task_id"] for arrival in service.arrivals} == {task_id}


def test_news_can_be_told_twice_and_are_told_nowhere_unless_wanted(tuhui: Tuhui) -> None:
    with running_service() as service:
        tuhui.sandbox.set_target(service.url)
        does(tuhui, given(tuhui), "accept")
        tuhui.sandbox.put("/_sandbox/tuhui/callback", {"path": CALLBACK})
        tuhui.sandbox.fault("tuhui", "duplicate", count=1)
        does(tuhui, given(tuhui), "accept")
        told(tuhui.sandbox, 1)
        assert len(service.arrivals) == 2


# On the page --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as started:
        yield started


def test_a_person_plays_the_designer_on_the_page(
    browser: Browser, tuhui: Tuhui, tmp_path: Path
) -> None:
    (tmp_path / "成品.png").write_bytes(PICTURE)
    task_id = tuhui.create(description="<b>客户</b>要高清")
    card = f"#task-{task_id}"
    with browser.page() as page:
        page.size(1000, 900)
        page.open(f"{tuhui.sandbox.url}/_sandbox/tuhui/page")
        page.wait_for(f"document.querySelector('{card}')")
        assert page.text(f"{card} p") == "<b>客户</b>要高清"
        page.click("#roster label:first-child input")
        until(lambda: tuhui.ask("GET", "/online/designers").json() == ["婷婷"])
        tuhui.assign(task_id, "婷婷")
        page.wait_for(f"document.querySelectorAll('{card} button').length === 3")
        page.click(f"{card} button")
        page.wait_for(f"document.querySelectorAll('{card} button').length === 2")
        node = page.command(
            "DOM.querySelector",
            nodeId=page.command("DOM.getDocument")["root"]["nodeId"],
            selector=f"{card} input[type=file]",
        )
        page.command(
            "DOM.setFileInputFiles", nodeId=node["nodeId"], files=[str(tmp_path / "成品.png")]
        )
        page.click(f"{card} button:last-child")
        page.wait_for(f"document.querySelector('{card} a')")
        assert page.problems == []
    task = tuhui.task(task_id)
    assert (task["status"], task["notes"]) == ("completed", "已完成,请查收")
    assert tuhui.sandbox.client.get(task["files"][0]).content == PICTURE
