"""The target law, held against a second reading of it that shares no code with the first.

Run for long: `python -m tests.fuzz target`.
"""

import string
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.errors import CallerError
from gateway.upstream.target import Authority, resolve
from tests.fuzz.seeds import TARGETS

UPSTREAM: Final = Authority(b"api.test", 443)
CORPUS: Final = TARGETS
_HEX: Final = frozenset(string.hexdigits.encode())


def check(target: bytes) -> None:
    """Raises AssertionError where the gateway and the second reading differ."""
    try:
        found = resolve("GET", target, UPSTREAM)
    except CallerError:
        assert target[:1] != b"/" or not is_lawful(target), target
        return
    assert target.endswith(found.raw[1:]), (target, found)
    assert found.raw.partition(b"?")[0] == found.path, (target, found)
    assert is_lawful(found.raw), target
    if not found.proxy_form:
        assert found.raw == target


def is_lawful(target: bytes) -> bool:
    """Whether an origin-form target may pass."""
    path, _, query = target.partition(b"?")
    if any(not 0x21 <= byte <= 0x7E or byte == 0x23 for byte in path + query):
        return False
    if any(not _is_escape(path[at : at + 3]) for at in range(len(path)) if path[at] == 0x25):
        return False
    once = unquote_to_bytes(path)
    try:
        once.decode()
    except UnicodeDecodeError:
        return False
    return all(_is_plain(reading) for reading in (path, once, unquote_to_bytes(once)))


def _is_escape(text: bytes) -> bool:
    return len(text) == 3 and text[1] in _HEX and text[2] in _HEX


def _is_plain(path: bytes) -> bool:
    """No dot segment (with path parameters or without), no empty one, no backslash, no control."""
    text = path.decode(errors="replace")
    if "\\" in text or any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F for c in text):
        return False
    first, *segments = text.split("/")
    if first or not segments:
        return False
    if "" in segments[:-1]:
        return False
    return not any(segment.partition(";")[0] in {".", ".."} for segment in segments)
