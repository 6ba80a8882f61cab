"""What Invopop's answer says of a key's workspace."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from gateway.errors import UpstreamError
from gateway.events import Event
from gateway.pin import Pin, WorkspaceFacts
from gateway.secret import Secret
from gateway.upstream.breaker import Breaker
from gateway.upstream.forwarder import Forwarder
from gateway.upstream.retry import Retries, RetryRules
from gateway.upstream.sender import Sender
from gateway.upstream.target import authority_of
from gateway.upstream.transport import Transport
from gateway.upstream.workspace import WorkspaceCheck
from tests.support.origin import Origin, Script, answering, ok
from tests.support.outbound import TIMEOUTS

Origins = Callable[[Script], Origin]


@pytest.fixture
def ask(
    origin: Origins, transport: Callable[..., Transport], events: list[Event]
) -> Callable[[Any], Any]:
    """Asks an Invopop that answers this."""

    async def ask(answer: Any) -> WorkspaceFacts:
        u = origin(answering(ok(orjson.dumps(answer))))
        authority = authority_of(u.url)
        exchange = transport().exchange_with(authority, TIMEOUTS)
        forwarder = Forwarder(exchange, authority, events.append)
        retries = Retries(RetryRules(0, frozenset()), lambda: 0.0)
        sender = Sender(forwarder, retries, Breaker(0.0, 5.0), events.append)
        return await WorkspaceCheck(sender).ask(Secret("key_" + "a1B2" * 9))

    return ask


@pytest.mark.parametrize(
    ("said", "sandbox"),
    [
        ({"sandbox": True}, True),
        ({"sandbox": False}, False),
        ({}, False),
        ({"sandbox": None}, None),
        ({"sandbox": "false"}, None),
        ({"sandbox": 0}, None),
        ({"Sandbox": True}, False),
    ],
)
async def test_whether_it_is_a_sandbox(
    ask: Callable[[Any], Any], said: dict[str, Any], sandbox: bool | None
) -> None:
    """Left out means no, as for Invopop's client; what is neither yes nor no confirms no pin."""
    found = await ask({"id": "w", "country": "ES"} | said)
    assert found == WorkspaceFacts("w", sandbox, "ES")
    for pinned in (True, False):
        assert (Pin(sandbox=pinned).differs(found) is None) is (pinned is sandbox)


@pytest.mark.parametrize("country", [None, 34, "", ["ES"]])
async def test_no_country_confirms_no_pin(ask: Callable[[Any], Any], country: Any) -> None:
    """Whatever stands there that is not the pinned country."""
    for answer in ({"id": "w"}, {"id": "w", "country": country}):
        assert Pin(country="ES").differs(await ask(answer)) == "pin_mismatch_country"


@pytest.mark.parametrize("answer", [{}, [], "w", {"id": 1}, {"id": None}, {"id": ""}])
async def test_an_answer_that_names_no_workspace(ask: Callable[[Any], Any], answer: Any) -> None:
    """It is no answer."""
    with pytest.raises(UpstreamError) as caught:
        await ask(answer)
    assert caught.value.detail == "Invopop's answer names no workspace."
