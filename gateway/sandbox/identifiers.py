"""UUIDs of the versions that Invopop takes or makes, and its timestamps. Pure but for the clock."""

import os
import time
import uuid
from datetime import UTC, datetime

TIME_BASED = (1, 7)


def uuid7() -> str:
    """A UUIDv7 (RFC 9562 5.7): Unix milliseconds, then 74 random bits."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0b11 << 62) | 0b10 << 62
    return str(uuid.UUID(int=value))


def version_of(text: str) -> int | None:
    """The version of a UUID in its canonical form, or None if it is not one."""
    try:
        parsed = uuid.UUID(text)
    except ValueError:
        return None
    return parsed.version if str(parsed) == text.lower() else None


def timestamp(at: datetime | None = None) -> str:
    """UTC with milliseconds, such as `2018-01-01T00:00:00.000Z`; of now by default."""
    at = at or datetime.now(UTC)
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def normal_timestamp(text: str) -> str | None:
    """An ISO timestamp in the form that `timestamp` gives, or None; without a zone it is UTC."""
    try:
        parsed = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        return None
    return timestamp(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))
