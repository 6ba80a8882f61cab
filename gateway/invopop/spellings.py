r"""What some servers do to a path before they look at it: each step that one may take, on its text.

Rule: pure. A text is segments joined by `/`; `ESCAPED_SLASH` stands for a slash that was escaped.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

ESCAPED_SLASH: Final = "\x01"  # a lawful path holds no control character

_PARAMETERS: Final = re.compile(r";[^/]*")  # RFC 3986 3.3, as servlet containers drop them
_END: Final = re.compile(r"[?#\x00]")  # `?` and `#` end a path for whoever parses it again
_EXTENSIONS: Final = re.compile(r"(?<=[^/.\x01])(?:\.[A-Za-z0-9]{1,8})+(?=/*\Z)")
# One character in more bytes than it needs, which lenient decoders take (RFC 3629 10).
_OVERLONG: Final = re.compile(
    r"%[Cc][01]%[89ABab][0-9A-Fa-f]"
    r"|%[Ee]0%[89][0-9A-Fa-f]%[89ABab][0-9A-Fa-f]"
    r"|%[Ff]0%8[0-9A-Fa-f](?:%[89ABab][0-9A-Fa-f]){2}"
)
_UTF_16: Final = re.compile("%[Uu]([0-9A-Fa-f]{4})")  # as JavaScript's escape() writes it
_SLASH: Final = re.compile("%2[Ff]")
# What best-fit mappings, and NFKC, make of these: fraction, division and full-width slashes.
_SLASHES: Final = str.maketrans("\u2044\u2215\u29f8\uff0f", "////")
_IGNORED: Final = ("Mn", "Cf")  # accents, and what has no width, mean nothing to some comparisons


def fold(text: str) -> str:
    """A text without regard to letter case, nor to accents, width and other compatible forms."""
    if text.isascii():
        return text.casefold()
    upper = unicodedata.normalize("NFKD", text.translate(_SLASHES)).upper()
    kept = [c for c in upper if c.isascii() or unicodedata.category(c) not in _IGNORED]
    return unicodedata.normalize("NFKC", "".join(kept)).casefold()


def fold_all(segments: Sequence[str]) -> tuple[str, ...]:
    """Segments without regard to letter case."""
    return tuple(map(fold, segments))


def unescape(text: str) -> str:
    """Percent-decoded, as leniently as servers do; an escaped slash is not yet a separator."""
    if "%" not in text:
        return text
    text = _OVERLONG.sub(_shortest, _UTF_16.sub(_unit, text))
    return unquote(_SLASH.sub(ESCAPED_SLASH, text), errors="replace")


def separate(text: str) -> str:
    """With escaped slashes as separators, and backslashes too."""
    return text.replace(ESCAPED_SLASH, "/").replace("\\", "/")


def drop_parameters(text: str) -> str:
    """Each segment up to its first `;`."""
    return _PARAMETERS.sub("", text) if ";" in text else text


def trim(text: str) -> str:
    """Without blanks around segments and without dots behind them, as file systems drop them.

    One step of it: what shows then may be trimmed again. A segment of dots only stays.
    """
    if text.isprintable() and " " not in text and "." not in text:
        return text  # there is no other white space to print
    parts = [part.strip() for part in text.replace("\0", "").split("/")]
    return "/".join([part.rstrip(".") or part for part in parts])


def cut_off(text: str) -> str:
    """Up to a `?` or `#`, or a NUL, which were escaped."""
    return _END.split(text, maxsplit=1)[0]


def drop_extensions(text: str) -> str:
    """Without `.json` and the like at the end."""
    return _EXTENSIONS.sub("", text)


def _shortest(overlong: re.Match[str]) -> str:
    first, *rest = unquote_to_bytes(overlong[0])
    code = first & (0x3F >> len(rest))
    for byte in rest:
        code = code << 6 | byte & 0x3F
    return _escaped(code)


def _unit(escape: re.Match[str]) -> str:
    return _escaped(int(escape[1], 16))


def _escaped(code: int) -> str:
    return f"%{code:02X}" if code < 0x80 else chr(code)
