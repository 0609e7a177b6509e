"""The READMEs say what is so: generated parts are current, examples are executed."""

import json
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from api.cli.main import cli
from api.cli.readme import READMES, ROOT, fill, generated_parts
from domain.errors import ConfigurationError
from tests.api.cli.processes import console_script
from tests.service import free_port

SERVICE, SANDBOX = "127.0.0.1:6060", "127.0.0.1:6061"
_CALL = re.compile(r"^curl .*?(?=^```|^curl )", re.DOTALL | re.MULTILINE)
_OPTION = re.compile(r"--[a-z-]+")
_SHOWN = re.compile(r"\A```\n+```json\n(.*?)```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Example:
    """A curl call of a README, and the answer printed below it, if there is one."""

    url: str
    body: str | None
    shown: dict[str, Any] | None


def examples_in(text: str) -> list[Example]:
    found = []
    for call in _CALL.finditer(text):
        words = shlex.split(call[0])
        url = next(word for word in words if word.startswith("http"))
        body = words[words.index("-d") + 1] if "-d" in words else None
        shown = _SHOWN.match(text[call.end() :])
        found.append(Example(url, body, json.loads(shown[1]) if shown else None))
    return found


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What `make run` starts, on other ports: addresses in the README to addresses here."""
    ports = free_ports(2)
    folder = tmp_path_factory.mktemp("readme")
    options = ["--sandbox", "--samples", "--port", str(ports[0]), "--sandbox-port", str(ports[1])]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [console_script(), "serve", *options], cwd=folder, stdout=log, stderr=log
        )
        try:
            await_warm(process, f"http://127.0.0.1:{ports[0]}/health")
            yield {SERVICE: f"127.0.0.1:{ports[0]}", SANDBOX: f"127.0.0.1:{ports[1]}"}
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=20)


def free_ports(count: int) -> list[int]:
    """Different ones."""
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port())
    return list(found)


def await_warm(process: "subprocess.Popen[bytes]", url: str) -> None:
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        assert process.poll() is None, "kefu serve ended while starting"
        try:
            if httpx.get(url, trust_env=False).json()["parts"]["knowledge"] == "ok":
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise AssertionError("kefu serve is not ready")


def difference(shown: Any, real: Any, where: str = "") -> str | None:
    """Where ``real`` lacks something that ``shown`` has; lists have the same length."""
    if isinstance(shown, dict) and isinstance(real, dict):
        found = (difference(shown[key], real.get(key), f"{where}.{key}") for key in shown)
    elif isinstance(shown, list) and isinstance(real, list) and len(shown) == len(real):
        pairs = enumerate(zip(shown, real, strict=True))
        found = (difference(one, other, f"{where}[{at}]") for at, (one, other) in pairs)
    else:
        return None if shown == real else f"{where}: {shown!r} is shown, {real!r} is so"
    return next((one for one in found if one), None)


@pytest.mark.parametrize("name", READMES)
def test_generated_parts_are_current(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert fill(text, generated_parts()) == text, "run: make readme"


def test_check_says_so_too() -> None:
    assert CliRunner().invoke(cli, ["readme", "--check"]).exit_code == 0


@pytest.mark.parametrize("name", READMES)
def test_examples_give_what_is_shown(name: str, running: dict[str, str]) -> None:
    text = (ROOT / name).read_text("utf-8")
    # Both READMEs run against one service, and neither must meet the other's conversations.
    text = re.sub(r"\b(msg_123|group_456|user_1|chat_1)\b", rf"\1-{len(name)}", text)
    for readme, here in running.items():
        text = text.replace(readme, here)
    examples = examples_in(text)
    assert len(examples) == 5
    assert sum(example.shown is not None for example in examples) == 3
    for example in examples:
        answer = call(example)
        if example.shown is not None:
            assert difference(example.shown, answer) is None
    assert "抠图" in answer["messages"][0]["text"]


def call(example: Example) -> dict[str, Any]:
    method = "GET" if example.body is None else "POST"
    headers = {"Content-Type": "application/json"}
    with httpx.Client(trust_env=False, timeout=30) as client:
        content = example.body.encode() if example.body else None
        response = client.request(method, example.url, content=content, headers=headers)
    assert response.is_success, response.text
    answer: dict[str, Any] = response.json()
    return answer


@pytest.mark.parametrize("name", READMES)
def test_links_within_the_repository_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_a_part_is_replaced_between_its_markers_and_nothing_else() -> None:
    text = "before\n<!-- a:begin -->\nold\n<!-- a:end -->\nafter\n"
    once = fill(text, {"a": "new \\1"})
    assert once == "before\n<!-- a:begin -->\n\nnew \\1\n\n<!-- a:end -->\nafter\n"
    assert fill(once, {"a": "new \\1"}) == once


def test_a_missing_marker_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="0 parts named 'a'"):
        fill("nothing here", {"a": "new"})


@pytest.mark.parametrize("name", READMES)
def test_commands_and_options_of_the_table_exist(name: str) -> None:
    rows = re.findall(r"`kefu ((?:kb |eval )?[a-z]+)([^`]*)`", (ROOT / name).read_text("utf-8"))
    assert len(rows) > 8
    for command, rest in rows:
        ended = CliRunner().invoke(cli, [*command.split(), "--help"], terminal_width=200)
        assert ended.exit_code == 0, command
        assert [option for option in _OPTION.findall(rest) if option not in ended.stdout] == []
