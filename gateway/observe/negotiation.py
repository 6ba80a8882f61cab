"""Which exposition format a scrape asks for with `Accept` (RFC 9110 12.5.1). Pure; never fails.

`prometheus_client` reads neither quoted parameters, nor letter case, nor `q`, and raises on an
unknown version (prometheus/common#456): so it only ever gets one of the two values here.
"""

import re
from typing import Final

TEXT: Final = ""  # the text format 0.0.4, for whoever does not ask for another
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0"

_LONGEST: Final = 4096  # characters that are looked at
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110 5.6.2
_QUOTED: Final = r'"(?:[^"\\]|\\.)*"'
_MEMBER: Final = re.compile(rf"(?:[^,\"]|{_QUOTED})+")
_RANGE: Final = re.compile(rf"\s*({_TOKEN}/{_TOKEN})")
_PARAMETER: Final = re.compile(rf"\s*;\s*({_TOKEN})\s*=\s*({_TOKEN}|{_QUOTED})")
_QVALUE: Final = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")

# Ranges that match each format, the most specific first; "" is a range without `version`.
_TEXT_RANGES: Final = (("text/plain", "0.0.4"), ("text/plain", ""), ("text/*", ""), ("*/*", ""))
_OPENMETRICS_RANGES: Final = (
    ("application/openmetrics-text", "1.0.0"),
    ("application/openmetrics-text", ""),
)


def format_for(accept: str) -> str:
    """`OPENMETRICS` if that is preferred to text, else `TEXT`, also where neither is acceptable."""
    weights: dict[tuple[str, str], float] = {}
    for member in _MEMBER.findall(accept[:_LONGEST]):
        media = _RANGE.match(member)
        if media is None:
            continue
        parameters = {
            name.lower(): value.strip('"')
            for name, value in _PARAMETER.findall(member, media.end())
        }
        q = parameters.get("q", "1")
        weight = float(q) if _QVALUE.fullmatch(q) else 0.0
        version = "" if "*" in media[1] else parameters.get("version", "")
        key = (media[1].lower(), version)
        weights[key] = max(weight, weights.get(key, 0.0))
    wanted = _weight(weights, _OPENMETRICS_RANGES)
    return OPENMETRICS if wanted > 0 and wanted >= _weight(weights, _TEXT_RANGES) else TEXT


def _weight(weights: dict[tuple[str, str], float], ranges: tuple[tuple[str, str], ...]) -> float:
    return next((weights[one] for one in ranges if one in weights), 0.0)
