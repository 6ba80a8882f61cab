"""The one type that holds a secret: every way to show it is redacted, `reveal()` is the way out."""

import base64
import hashlib
import hmac
from typing import Any, Final
from urllib.parse import unquote_to_bytes

REDACTED: Final = "[redacted]"

_DECODINGS: Final = 2  # times that escapes are decoded, as in the rules for paths
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")  # of the two alphabets of base64


class Secret:
    """A key or token. `str`, `repr`, `format`, pickling and JSON never show its value."""

    __slots__ = ("_fingerprint", "_value")

    def __init__(self, value: str) -> None:
        # Variables may hold bytes that are not UTF-8, which Python shows as surrogates (PEP 383).
        self._value = value.encode("utf-8", "surrogatepass")
        self._fingerprint: str | None = None

    def reveal(self) -> str:
        """The value itself. Call it only where it is sent, compared or encrypted."""
        return self._value.decode("utf-8", "surrogatepass")

    @property
    def ascii(self) -> bytes:
        """The same as bytes, for a header. Raises UnicodeEncodeError if it is not ASCII."""
        return self._value if self._value.isascii() else self.reveal().encode("ascii")

    @property
    def fingerprint(self) -> str:
        """The first 12 hex digits of the value's SHA-256: safe to log and to compare by eye."""
        if self._fingerprint is None:
            self._fingerprint = hashlib.sha256(self._value).hexdigest()[:12]
        return self._fingerprint

    def __repr__(self) -> str:
        return REDACTED

    def __str__(self) -> str:
        return REDACTED

    def __format__(self, spec: str) -> str:
        return REDACTED

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """Pickles and copies of an object that holds a secret hold the word `[redacted]`."""
        return (str, (REDACTED,))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __bool__(self) -> bool:
        return bool(self._value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Lets a pydantic model hold a secret: strict string in, `[redacted]` out."""
        from pydantic_core import core_schema  # noqa: PLC0415 - only settings need pydantic

        return core_schema.no_info_after_validator_function(
            lambda value: value if isinstance(value, cls) else cls(value),
            core_schema.union_schema(
                [core_schema.is_instance_schema(cls), core_schema.str_schema(strict=True)]
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda _: REDACTED),
        )


def stands_in(secret: bytes, text: bytes) -> bool:
    """Whether a text holds a secret: as it is, with escapes decoded (RFC 3986 2.1), in base64."""
    for _ in range(_DECODINGS + 1):
        if text.find(secret) >= 0:  # `in` raises and catches a TypeError before it looks
            return True
        if len(text) >= len(secret) * 4 // 3 and _in_base64(secret, text):
            return True
        if text.find(b"%") < 0:
            return False
        text = unquote_to_bytes(text)
    return False


def _in_base64(secret: bytes, text: bytes) -> bool:
    """Whether base64 of anything with the secret in it stands in a text (RFC 4648 4 and 5).

    Its first byte is at one of three places in a group, which leaves the digits that hold nothing
    but the secret the same, whatever is around it.
    """
    text = text.translate(_TO_STANDARD)
    for before in range(3):
        digits = base64.b64encode(bytes(before) + secret)
        if text.find(digits[(8 * before + 5) // 6 : 8 * (before + len(secret)) // 6]) >= 0:
            return True
    return False
