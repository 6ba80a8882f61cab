"""The page as HTML: nothing that came in is markup, and it may load nothing but itself."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

from gateway.admin.page import Page
from tests.support.example_status import status_of

HOSTILE = (
    "</title></style></script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{7777*7}}"
)
PLAIN_PAGE = Page()


class Parsed(HTMLParser):
    """Every tag, attribute and text of a document."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id" and value]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_whatever_came_in_is_text() -> None:
    """With a hostile string in each field the page has the tags that it has with a plain one."""
    hostile = Parsed(PLAIN_PAGE.render(status_of(HOSTILE)))
    plain = Parsed(PLAIN_PAGE.render(status_of("plain")))
    assert hostile.tags == plain.tags
    assert [name for name, _ in hostile.attributes] == [name for name, _ in plain.attributes]
    assert hostile.tags.count("script") == 1
    assert "54439" not in "".join(hostile.texts).replace(HOSTILE, "")
    assert "".join(hostile.texts).count("alert(1)") > 20


def test_every_text_of_the_status_can_be_read() -> None:
    """A failure's request id, a tenant's fingerprint, a problem's words: all of it is shown."""
    status = status_of("plain")
    failure = replace(status.failures[0], request_id="rid-1", cause="e-1", advice="do-this")
    tenants = replace(status.tenants, keys=(replace(status.tenants.keys[0], fingerprint="f-1"),))
    settings = replace(status.configuration, problems=("problem-1",), restart_required=("r-1",))
    html = PLAIN_PAGE.render(
        replace(status, failures=(failure,) * 20, tenants=tenants, configuration=settings)
    )
    text = "".join(Parsed(html).texts)
    for words in ("rid-1", "e-1", "do-this", "f-1", "problem-1", "r-1"):
        assert words in text
    assert text.count("rid-1") == 20


def test_the_policy_names_the_style_and_the_script_and_nothing_else() -> None:
    """No other script, style or source; no inline handler or style attribute needs one."""
    html = PLAIN_PAGE.render(status_of("plain"))
    policy = PLAIN_PAGE.policy
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; base-uri 'none'; form-action 'none'; frame-anc")
    assert "unsafe" not in policy
    names = {name for name, _ in Parsed(html).attributes}
    assert not {"style", "src", "srcset", "action"} & names
    assert not [name for name in names if name.startswith("on")]


def test_the_page_points_at_itself_only() -> None:
    """No link or source leads anywhere else."""
    page = Parsed(PLAIN_PAGE.render(status_of("plain")))
    links = {value for name, value in page.attributes if name == "href"}
    assert {link for link in links if link and not link.startswith("data:")} == {
        "/status",
        "/metrics",
    }


def test_an_empty_gateway_has_a_page() -> None:
    """Nothing configured, nothing happened: each part says what is missing."""
    status = status_of("x", number=0)
    bare = replace(
        status,
        checks=(),
        concerns=(),
        failures=(),
        issuers=(),
        traffic=replace(status.traffic, steps=(), p50=None, p95=None, own_seconds=None),
        tenants=replace(status.tenants, keys=(), discovery=""),
        callers=replace(status.callers, rows=()),
        configuration=replace(
            status.configuration, problems=(), warnings=(), restart_required=(), reload_at=None
        ),
        upstream=replace(
            status.upstream, failed_attempts=(), circuit_since=None, last_failed_at=None
        ),
    )
    text = "".join(Parsed(PLAIN_PAGE.render(bare)).texts)
    for words in ("All is well", "None since the start", "None yet", "Nothing yet", "tokens new"):
        assert words in text


def test_ids_are_unique() -> None:
    """Else the script would put a part in the wrong place."""
    ids = Parsed(PLAIN_PAGE.render(status_of("plain"))).ids
    assert len(ids) == len(set(ids))
