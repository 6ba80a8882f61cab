"""`Accept` of a scrape: whatever it says, there is an answer, and in the right format."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observe.metrics import PrometheusMetrics
from gateway.observe.negotiation import OPENMETRICS, TEXT, format_for

OM, PLAIN = "application/openmetrics-text", "text/plain"
PROMETHEUS_3 = (
    f"{OM};version=1.0.0;escaping=allow-utf-8;q=0.6,{OM};version=0.0.1;q=0.5,"
    f"{PLAIN};version=1.0.0;escaping=allow-utf-8;q=0.4,{PLAIN};version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    "accept",
    [
        f"{OM};version=1.0.0",
        OM,
        f'{OM}; version="1.0.0"',
        "Application/OpenMetrics-Text; Version=1.0.0",
        PROMETHEUS_3,
        f"{OM}, {PLAIN}",
        f'text/html;x="a,b";q=1, {OM};version=1.0.0;q=0.1',
        f"{PLAIN};q=0, {OM}",
    ],
)
def test_openmetrics_is_asked_for(accept: str) -> None:
    """Quoted values, letter case, order and weights are read as RFC 9110 has them."""
    assert format_for(accept) == OPENMETRICS


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "text/*",
        "application/*",
        f"{PLAIN};version=latest",
        f"{OM};version=1.0.0;q=0",
        f"{OM};version=1.0.0;q=0, {PLAIN}",
        f"{PLAIN};version=0.0.4, {OM};version=1.0.0;q=0.1",
        f"{OM};version=7",
        f"{OM};version=1.0.0;q=nonsense",
        f"{OM};version=1.0.0;q=0.5, */*",
        "a/b;version=" + '"' * 5000,
        ", ,;;",
    ],
)
def test_text_is_what_all_others_get(accept: str) -> None:
    """Also who asks for nothing that there is: a scrape is never lost."""
    assert format_for(accept) == TEXT


@given(st.text(alphabet='application/openmetrics-text;version="1.0.,q=\\*é ', max_size=200))
def test_nothing_raises(accept: str) -> None:
    """And the library takes what comes out."""
    _, content_type = PrometheusMetrics(10).exposition(accept)
    assert content_type.startswith(("text/plain; version=0.0.4", f"{OM}; version=1.0.0"))
