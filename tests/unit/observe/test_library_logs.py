"""What libraries log, as lines of our log: no exception's text, and nothing of what they send."""

import logging
from collections.abc import Iterator

import pytest

from gateway.observe.library_logs import bridge_library_logs
from gateway.observe.logs import Logger
from tests.support.captured_lines import Capture


@pytest.fixture
def capture() -> Capture:
    return Capture()


@pytest.fixture
def untouched_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("untouched_logging")
def test_library_exceptions_lose_their_text(capture: Capture) -> None:
    """Of an exception only its type and places are logged: its text may quote a header."""
    bridge_library_logs(Logger(capture.writer, "debug", "json"))
    try:
        int("Illegal header value b'Bearer sk_live_SECRET'")
    except ValueError:
        logging.getLogger("some.library").exception("failed with %s", "sk_live_SECRET")
    (line,) = capture.lines()
    assert line["exception"] == "ValueError"
    assert "sk_live_SECRET" not in str(line)
    assert any("test_library_logs.py" in place for place in line["at"])


@pytest.mark.usefixtures("untouched_logging")
def test_chatty_libraries_are_quiet_even_at_debug(capture: Capture) -> None:
    """httpx logs whole URLs at info and httpcore headers at debug: neither is ever written."""
    bridge_library_logs(Logger(capture.writer, "debug", "json"))
    logging.getLogger("httpx").info("GET https://x/?token=SECRET")
    logging.getLogger("httpcore.http11").debug("send_request_headers SECRET")
    assert capture.lines() == []
