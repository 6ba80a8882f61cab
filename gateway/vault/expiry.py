"""When a key that is a JWT expires: read unverified, a hint for operators, never a decision."""

from typing import Final

import jwt

from gateway.secret import Secret

LATEST: Final = 253_402_300_799  # the end of the year 9999: beyond it there are no dates


def expiry(secret: Secret) -> float | None:
    """The key's `exp` in seconds since the epoch; None if it is no JWT or has none."""
    value = secret.reveal()
    if value.count(".") != 2:
        return None
    try:
        claims = jwt.decode(value, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    found = claims.get("exp")
    if not isinstance(found, int | float) or isinstance(found, bool):
        return None
    return float(found) if 0 <= found <= LATEST else None
