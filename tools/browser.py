"""A real headless Chromium, driven through its own protocol, for tests and benchmarks."""

import base64
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
TIMEOUT_S = 30
POLL_INTERVAL_S = 0.05


class Failed(AssertionError):
    """The browser, or a script in it, failed."""


class Tab:
    """One page, with everything that it wrote to the console or asked of the network."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self.console: list[str] = []
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (message := json.loads(self._socket.recv(timeout=TIMEOUT_S))).get("id") != number:
            self._on_event(message)
        if "error" in message:
            raise Failed(f"{method}: {message['error']}")
        result: dict[str, Any] = message["result"]
        return result

    def open(self, url: str) -> None:
        self.send("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """The value of an expression in the page; a promise is awaited."""
        evaluated = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in evaluated:
            raise Failed(f"{script}: {evaluated['exceptionDetails']}")
        return evaluated["result"].get("value")

    def until(self, script: str, *, within_s: float = 15.0) -> Any:
        """Wait until an expression is true, and return its value."""
        return _poll(script, lambda: self.run(script), within_s=within_s)

    def text(self, selector: str) -> str:
        return str(self.run(f"document.querySelector({json.dumps(selector)}).textContent"))

    def click(self, selector: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def size(self, width: int, height: int, *, is_phone: bool = False) -> None:
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=is_phone
        )

    def scheme(self, name: str) -> None:
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))

    def _on_event(self, message: dict[str, Any]) -> None:
        match message.get("method"):
            case "Runtime.consoleAPICalled":
                words = [str(value.get("value", value.get("description"))) for value in message["params"]["args"]]
                self.console.append(" ".join(words))
            case "Runtime.exceptionThrown":
                self.console.append(json.dumps(message["params"]["exceptionDetails"]))
            case "Log.entryAdded":
                entry = message["params"]["entry"]
                self.console.append(f"{entry['level']}: {entry['text']} {entry.get('url', '')}")
            case "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])


@contextmanager
def browser(folder: Path) -> Iterator[Tab]:
    """A Chromium with a profile of its own, and one empty tab."""
    assert PROGRAM
    process = subprocess.Popen(
        [PROGRAM, *OPTIONS, f"--user-data-dir={folder}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        path = folder / "DevToolsActivePort"
        port = int(_poll("the browser listens", lambda: path.is_file() and path.read_text().split())[0])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=TIMEOUT_S) as answer:
            (target,) = (target for target in json.load(answer) if target["type"] == "page")
        with connect(target["webSocketDebuggerUrl"], max_size=None, open_timeout=TIMEOUT_S) as socket:
            yield Tab(socket)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _poll(what: str, is_true: Callable[[], Any], *, within_s: float = TIMEOUT_S) -> Any:
    until_s = time.monotonic() + within_s
    while not (value := is_true()):
        if time.monotonic() > until_s:
            raise Failed(f"not within {within_s:g} s: {what}")
        time.sleep(POLL_INTERVAL_S)
    return value
