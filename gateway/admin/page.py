"""The status page: one HTML document, drawn here; its style and script are in it.

The template escapes whatever it is given, and the page may load, run, frame or send nothing but
itself: its policy names the style and the script by their hashes.
"""

import base64
import hashlib
from collections.abc import Sequence
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gateway.admin import wording
from gateway.admin.charts import HEIGHT, WIDTH, charts
from gateway.admin.view import KeyRow, Status

_TONES: Final = {"ready": "good", "degraded": "warn", "starting": "warn", "draining": "warn"}
CLOSED: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class Page:
    """The template, compiled once."""

    def __init__(self) -> None:
        loader = PackageLoader("gateway.admin", "templates")
        environment = Environment(
            loader=loader,
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,  # an upgrade while it runs must not mix versions
            trim_blocks=True,
            lstrip_blocks=True,
        )
        for name in (
            "ago",
            "clock",
            "day",
            "duration",
            "moment",
            "percent",
            "rate",
            "span",
            "until",
        ):
            environment.filters[name] = getattr(wording, name)
        self._template = environment.get_template("status.html")
        self._style, self._script = (
            loader.get_source(environment, name)[0] for name in ("status.css", "status.js")
        )
        self.policy = (
            f"{CLOSED}; connect-src 'self'; img-src data:; style-src {_hash(self._style)};"
            f" script-src {_hash(self._script)}"
        )

    def render(self, status: Status) -> str:
        """The document."""
        return self._template.render(
            status=status,
            now=status.at,
            tone=_tone(status),
            charts=charts(status.traffic),
            minutes=_minutes(status),
            width=WIDTH,
            height=HEIGHT,
            key_tone=_key_tone,
            # Our own files, never anything from a request.
            style=Markup(self._style),  # noqa: S704
            script=Markup(self._script),  # noqa: S704
        )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _tone(status: Status) -> str:
    if any(concern.level == "bad" for concern in status.concerns):
        return "bad"
    return "warn" if status.concerns else _TONES.get(status.state, "warn")


def _key_tone(key: KeyRow) -> str:
    quiet = {"ok": "good", "loading": "quiet", "on_demand": "quiet", "unchecked": "warn"}
    return quiet.get(key.state, "bad")


class Minute:
    """Six steps as one row of the table that repeats the charts."""

    __slots__ = ("at", "failed", "p95", "refused", "requests")

    def __init__(self, at: float) -> None:
        self.at = at
        self.requests = self.refused = self.failed = 0
        self.p95: float | None = None


def _minutes(status: Status) -> Sequence[Minute]:
    """The steps by full minutes, newest first; the p95 is the worst of its steps."""
    minutes: dict[int, Minute] = {}
    for step in status.traffic.steps:
        number = int(step.at // 60)
        minute = minutes.setdefault(number, Minute(number * 60.0))
        minute.requests += step.requests
        minute.refused += step.refused
        minute.failed += step.failed
        if step.p95 is not None:
            minute.p95 = max(minute.p95 or 0.0, step.p95)
    return tuple(reversed(minutes.values()))
