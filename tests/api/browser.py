"""A real browser (Debian's chromium) driven over the DevTools protocol, for tests of the page."""

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

JsonObject = dict[str, Any]
START_S = 60.0
ANSWER_S = 30.0
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-proxy-server",
    "--remote-debugging-port=0",
)
_KEYS: dict[str, JsonObject] = {
    "Enter": {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"},
    "Tab": {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9},
}
_SHIFT = 8


class Page:
    """One tab. ``problems``: everything that the browser complained of since it was opened;
    ``requests``: every address that it asked for."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._last = 0
        self.problems: list[str] = []
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable")

    def command(self, method: str, **params: Any) -> JsonObject:
        self._last += 1
        wanted = self._last
        self._socket.send(json.dumps({"id": wanted, "method": method, "params": params}))
        ends = time.monotonic() + ANSWER_S
        while True:
            heard: JsonObject = json.loads(self._socket.recv(timeout=ends - time.monotonic()))
            if heard.get("id") == wanted:
                assert "error" not in heard, f"{method}: {heard.get('error')}"
                result: JsonObject = heard["result"]
                return result
            self._note(heard.get("method", ""), heard.get("params", {}))

    def _note(self, method: str, params: JsonObject) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Network.loadingFailed" and not params.get("canceled"):
            self.problems.append(f"loading failed: {params['errorText']}")
        elif method == "Runtime.exceptionThrown":
            self.problems.append(f"exception: {params['exceptionDetails']}")
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.problems.append(f"console: {params['args']}")
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(f"log: {params['entry']['text']} {params['entry'].get('url')}")

    def open(self, url: str) -> None:
        found = self.command("Page.navigate", url=url)
        assert "errorText" not in found, found
        self.wait_for("document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        found = self.command(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, condition: str, *, within: float = ANSWER_S) -> None:
        """``condition``: JavaScript that becomes true."""
        ends = time.monotonic() + within
        while not self.evaluate(f"Boolean({condition})"):
            shown = self.evaluate("document.body?.innerText")
            assert time.monotonic() < ends, f"never came true: {condition}\n{shown}"
            time.sleep(0.03)

    def text(self, selector: str) -> str:
        """What a reader sees of the first match, or "" where there is none."""
        quoted = json.dumps(selector)
        return str(self.evaluate(f"document.querySelector({quoted})?.innerText ?? ''"))

    def texts(self, selector: str) -> list[str]:
        quoted = json.dumps(selector)
        found: list[str] = self.evaluate(
            f"[...document.querySelectorAll({quoted})].map((e) => e.innerText)"
        )
        return found

    def click(self, selector: str) -> None:
        """With the mouse, where the element is: something that covers it gets the click."""
        place = self.evaluate(
            f"""(() => {{
                const element = document.querySelector({json.dumps(selector)});
                element.scrollIntoView({{ block: "center", inline: "center" }});
                const box = element.getBoundingClientRect();
                return [box.x + box.width / 2, box.y + box.height / 2];
            }})()"""
        )
        at = {"x": place[0], "y": place[1], "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, **at)

    def type(self, text: str) -> None:
        self.command("Input.insertText", text=text)

    def press(self, key: str, *, shift: bool = False) -> None:
        modifiers = _SHIFT if shift else 0
        for kind in ("keyDown", "keyUp"):
            self.command("Input.dispatchKeyEvent", type=kind, modifiers=modifiers, **_KEYS[key])

    def size(self, width: int, height: int, *, mobile: bool = False) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if mobile else 1,
            mobile=mobile,
        )

    def dark(self, on: bool) -> None:
        feature = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self.command("Emulation.setEmulatedMedia", features=[feature])

    def offline(self, on: bool) -> None:
        self.command(
            "Network.emulateNetworkConditions",
            offline=on,
            latency=0,
            downloadThroughput=-1,
            uploadThroughput=-1,
        )

    def screenshot(self, path: Path) -> None:
        data = self.command("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))


class Browser:
    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"

    @contextlib.contextmanager
    def page(self) -> Iterator[Page]:
        """A tab of its own: no storage shared with other tabs."""
        version = self._get("/json/version")
        with connect(version["webSocketDebuggerUrl"], max_size=None) as socket:
            control = _Control(socket)
            context = control.ask("Target.createBrowserContext")["browserContextId"]
            target = control.ask("Target.createTarget", url="about:blank", browserContextId=context)
            address = f"ws{self._address[4:]}/devtools/page/{target['targetId']}"
            with connect(address, max_size=None) as tab:
                yield Page(tab)
            control.ask("Target.disposeBrowserContext", browserContextId=context)

    def _get(self, path: str) -> JsonObject:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self._address + path, timeout=ANSWER_S) as response:
            found: JsonObject = json.load(response)
            return found


class _Control:
    """The browser itself, as far as tabs need it."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._last = 0

    def ask(self, method: str, **params: Any) -> JsonObject:
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": params}))
        while True:
            heard = json.loads(self._socket.recv(timeout=ANSWER_S))
            if heard.get("id") == self._last:
                result: JsonObject = heard["result"]
                return result


@contextlib.contextmanager
def running_browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "these tests need a browser: apt-get install --no-install-recommends chromium"
    folder = Path(tempfile.mkdtemp(prefix="kefu-browser-"))
    process = subprocess.Popen(
        [program, *_FLAGS, f"--user-data-dir={folder}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield Browser(_debugging_port(folder, process))
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _debugging_port(folder: Path, process: "subprocess.Popen[bytes]") -> int:
    told = folder / "DevToolsActivePort"
    ends = time.monotonic() + START_S
    while time.monotonic() < ends:
        assert process.poll() is None, f"the browser ended with {process.returncode}"
        if told.exists() and (lines := told.read_text().splitlines()):
            return int(lines[0])
        time.sleep(0.05)
    raise AssertionError(f"the browser is not ready after {START_S} s")
