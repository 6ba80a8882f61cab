"""`python -m tests.bench.dashboard_picture`: the dashboard's picture for the README.

A real Prometheus scrapes the gateway for three minutes; each panel's own queries are asked of it,
and drawn in the dashboard's own grid. Drawn here, not by Grafana: only the data is real.
"""

import json
import re
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.bench.dashboard_drawing import Series, draw
from tests.bench.dashboard_scenario import SECONDS, stage
from tests.support.prometheus import DASHBOARD, DEPLOY, Prometheus, scraping

PICTURE: Final = DEPLOY / "grafana" / "dashboard.svg"
_STEP: Final = 2.0
_RATE: Final = "8s"


def main() -> int:
    """Plays, asks, draws; 1 if Prometheus is not installed."""
    program = shutil.which("prometheus")
    if program is None:
        print("prometheus is not installed (Debian: apt install prometheus)")  # noqa: T201
        return 1
    with (
        tempfile.TemporaryDirectory() as name,
        stage(Path(name)) as play,
        scraping(program, play.target, Path(name)) as prometheus,
    ):
        start = time.time()
        play.run()
        PICTURE.write_text(picture(prometheus, start, SECONDS))
    return 0


def picture(prometheus: Prometheus, start: float, seconds: float) -> str:
    """All panels with what Prometheus answers to their queries."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    answered = [(panel, list(_series(prometheus, panel, start, seconds))) for panel in panels]
    day = datetime.now(UTC).date()
    text = (
        f"{seconds / 60:.0f} minutes on {day}: Invopop (the sandbox) away from 1:00 to 1:12, a "
        "wrong configuration from 1:45 to 2:05, more load from 2:10 to 2:40. Drawn from the "
        "dashboard's own queries to a real Prometheus, not by Grafana."
    )
    return draw(answered, seconds, text)


def _series(prometheus: Prometheus, panel: dict[str, Any], start: float, seconds: float) -> Any:
    for target in panel.get("targets", ()):
        expression = _filled(target["expr"])
        end = start + seconds
        if target.get("instant"):
            found = prometheus.get("query", query=expression, time=str(end))["result"]
        else:
            asked = {"start": str(start), "end": str(end), "step": str(_STEP)}
            found = prometheus.get("query_range", query=expression, **asked)["result"]
        for one in found:
            values = one.get("values") or [one["value"]]
            points = [(float(t) - start, float(v)) for t, v in values if v != "NaN"]
            if panel["fieldConfig"]["defaults"]["unit"] == "dateTimeFromNow":
                points = [(t, end - milliseconds / 1000) for t, milliseconds in points]
            if points:
                yield Series(one["metric"], _legend(target["legendFormat"], one["metric"]), points)


def _filled(expression: str) -> str:
    """With the dashboard's variables as Grafana fills them in: all jobs, instances and tenants."""
    filled = re.sub(r"\$(job|instance|tenant)\b", ".*", expression)
    return filled.replace("$__rate_interval", _RATE)


def _legend(template: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), template) or "–"


if __name__ == "__main__":
    sys.exit(main())
