"""Exchanges as a test wants them."""

from typing import Any

from gateway.model import Exchange


def exchange_of(started: float = 0.0, request_id: str = "", **fields: Any) -> Exchange:
    """An exchange with these fields; the others are those of one that has just begun."""
    x = Exchange(started, request_id)
    for name, value in fields.items():
        setattr(x, name, value)
    return x
