"""A real Chromium, headless, driven by its DevTools protocol over a pipe: no port, no driver.

It resolves no name at all, so that whatever a page asks of the outside fails, and is seen.
"""

import base64
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.support.readiness import readable

TIMEOUT = 30.0
_FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",  # else it does not run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
    "--mute-audio",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    "about:blank",
)


def installed() -> str:
    """Chromium's path; without one the test is skipped, but never in continuous integration."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None and not os.environ.get("CI"):
        pytest.skip("no chromium here: apt-get install chromium")
    assert path is not None, "continuous integration must have chromium"
    return path


class Chromium:
    """The browser as a process; a context manager."""

    def __enter__(self) -> Self:
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        commands_read, self._commands = os.pipe()
        self._replies, replies_write = os.pipe()
        # The protocol's descriptors are 3 and 4; a shell puts the pipes there.
        script = f'exec "$0" "$@" 3<&{commands_read} 4>&{replies_write}'
        command = ("bash", "-c", script, installed(), *_FLAGS[:-1])
        self._process = subprocess.Popen(
            [*command, f"--user-data-dir={self._profile.name}", _FLAGS[-1]],
            pass_fds=(commands_read, replies_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands_read)
        os.close(replies_write)
        self._numbers = itertools.count(1)
        self._buffer = b""
        self.events: list[dict[str, Any]] = []
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._replies)
        self._profile.cleanup()

    def call(self, method: str, session: str | None = None, /, **parameters: Any) -> dict[str, Any]:
        """One command and its result; events that come meanwhile are kept."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (reply := self._next(TIMEOUT)).get("id") != number:
            assert "id" not in reply, reply
            self.events.append(reply)
        assert "error" not in reply, (method, reply["error"])
        result: dict[str, Any] = reply["result"]
        return result

    def wait_for(self, found: Callable[[], Any], seconds: float = TIMEOUT) -> Any:
        """Takes events until `found` is truthy; its value."""
        deadline = time.monotonic() + seconds
        while not (value := found()):
            self.events.append(self._next(deadline - time.monotonic()))
        return value

    def page(self) -> "Page":
        """A new, empty tab with a profile of its own."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        return Page(self, attached["sessionId"])

    def _next(self, seconds: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            assert readable(self._replies, seconds), f"chromium said nothing for {seconds:.0f} s"
            data = os.read(self._replies, 1 << 20)
            assert data, "chromium has ended"
            self._buffer += data
        raw, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(raw)
        return message


class Page:
    """One tab; it remembers what it asked for and what it complained of."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser = browser
        self._session = session
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command to this tab."""
        return self._browser.call(method, self._session, **parameters)

    def look_as(self, *, scheme: str = "light", width: int = 1280, scripts: bool = True) -> None:
        """Sets what the visitor prefers, and has: also a phone, or no JavaScript."""
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=media)
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)

    def open(self, url: str) -> None:
        """Goes there and waits until it is loaded."""
        before = len(self._events("Page.loadEventFired"))
        told = self.call("Page.navigate", url=url)
        assert "errorText" not in told, told
        self._browser.wait_for(lambda: len(self._events("Page.loadEventFired")) > before)

    def evaluate(self, expression: str) -> Any:
        """An expression's value; a promise's once it is there. Works without page scripts too."""
        told = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def text(self) -> str:
        """All that can be read on the page now."""
        return str(self.evaluate("document.body.innerText"))

    def until(self, expression: str, seconds: float = TIMEOUT) -> Any:
        """Waits within the page, frame by frame, until the expression is truthy."""
        milliseconds = seconds * 1000
        return self.evaluate(
            "new Promise((done, fail) => { const end = performance.now() + "
            f"{milliseconds}; const look = () => {{ const value = ({expression});"
            " if (value) done(value); else if (performance.now() > end) fail(new Error('late'));"
            " else setTimeout(look, 50); }; look(); })"
        )

    def picture(self, file: Path, last: str = "body") -> bytes:
        """A screenshot from the top to the end of the element `last`; written to `file` as well."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        bottom = self.evaluate(
            f"document.querySelector('{last}').getBoundingClientRect().bottom + scrollY + 16"
        )
        clip = {"x": 0, "y": 0, "width": size["width"], "scale": 1}
        clip["height"] = min(size["height"], bottom)
        told = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        data = base64.b64decode(told["data"])
        file.write_bytes(data)
        return data

    def requested(self) -> list[str]:
        """Every URL asked for, in order."""
        return [event["request"]["url"] for event in self._events("Network.requestWillBeSent")]

    def complaints(self) -> list[Mapping[str, Any]]:
        """What stands in the console: messages, exceptions, breaches of the page's policy."""
        names = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [event for name in names for event in self._events(name)]

    def _events(self, name: str) -> list[dict[str, Any]]:
        return [
            event["params"]
            for event in self._browser.events
            if event.get("sessionId") == self._session and event["method"] == name
        ]
