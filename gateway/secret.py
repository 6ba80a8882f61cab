"""The one type that holds a secret: every way to show it is redacted, `reveal()` is the way out."""

import hashlib
import hmac
from typing import Any, Final

REDACTED: Final = "[redacted]"


class Secret:
    """A key or token. `str`, `repr`, `format`, pickling and JSON never show its value."""

    __slots__ = ("_fingerprint", "_value")

    def __init__(self, value: str) -> None:
        self._value = value
        self._fingerprint: str | None = None

    def reveal(self) -> str:
        """The value itself. Call it only where it is sent, compared or encrypted."""
        return self._value

    @property
    def fingerprint(self) -> str:
        """The first 12 hex digits of the value's SHA-256: safe to log and to compare by eye."""
        if self._fingerprint is None:
            self._fingerprint = hashlib.sha256(self._value.encode()).hexdigest()[:12]
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
        return hmac.compare_digest(self._value.encode(), other._value.encode())

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
