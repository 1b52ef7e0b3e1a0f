"""A headless Chromium for tests, spoken to by its DevTools protocol over a WebSocket: no driver is needed."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
LONGEST_S = 240.0


class Browser:
    """One tab."""

    def __init__(self, folder: Path, width: int = 1280, height: int = 860) -> None:
        from websockets.sync.client import connect

        assert CHROMIUM is not None
        words = [
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio",
            "--remote-debugging-port=0", f"--user-data-dir={folder}", f"--window-size={width},{height}", "about:blank",
        ]  # fmt: skip
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = self._port(folder / "DevToolsActivePort")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
            (page,) = [tab for tab in json.load(answer) if tab["type"] == "page"][:1]
        self._open = contextlib.ExitStack()
        self._socket = self._open.enter_context(connect(page["webSocketDebuggerUrl"], max_size=None))
        self._numbers = itertools.count(1)
        self.said: list[str] = []
        """What the page wrote to its console, and its faults."""
        for part in ("Page", "Runtime", "Log"):
            self.call(f"{part}.enable")
        shape = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **shape)

    def _port(self, path: Path) -> int:
        until = time.monotonic() + LONGEST_S
        while not (path.exists() and path.read_text().strip()):
            assert self._process.poll() is None, "chromium has ended"
            assert time.monotonic() < until, "chromium does not start"
            time.sleep(0.05)
        return int(path.read_text().split()[0])

    def call(self, method: str, **values: Any) -> dict[str, Any]:
        """One command, and its answer."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": values}))
        while True:
            said = json.loads(self._socket.recv(LONGEST_S))
            if said.get("id") == number:
                assert "error" not in said, said
                return dict(said["result"])
            if said.get("method") == "Runtime.exceptionThrown":
                self.said.append(said["params"]["exceptionDetails"]["exception"]["description"])
            if said.get("method") == "Log.entryAdded":
                entry = said["params"]["entry"]
                self.said.append(f"{entry['level']}: {entry['text']} {entry.get('url', '')}")

    def go(self, url: str) -> None:
        """To an address, until it is loaded."""
        self.call("Page.navigate", url=url)
        self.until(f"location.href.startsWith({url!r}) && document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """What a JavaScript expression gives; promises are waited for."""
        done = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def until(self, script: str) -> Any:
        """Wait until an expression is true; gives its value."""
        end = time.monotonic() + LONGEST_S
        while not (value := self.run(script)):  # of an element, ask with !!
            assert time.monotonic() < end, f"{script} never came; the page said {self.said}"
            time.sleep(0.05)
        return value

    def picture(self, path: Path) -> None:
        """A screenshot as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        """End it."""
        self._open.close()
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
