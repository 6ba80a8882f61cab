"""A failed exchange as the status page lists it. Rule: holds, decides nothing."""

from dataclasses import dataclass
from typing import Literal

from gateway.errors import ErrorKey


@dataclass(frozen=True, slots=True)
class Failure:
    """An exchange that did not end as it should, and what to do about it."""

    at: float
    request_id: str
    caller: str
    tenant: str
    method: str
    route: str
    status: int
    error: ErrorKey | Literal[""]
    cause: str
    advice: str
