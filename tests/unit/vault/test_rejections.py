"""Whether a key is at fault: Invopop's word on it, asked for once, and remembered for a while."""

import asyncio
from dataclasses import dataclass, field

import pytest

from gateway.errors import GatewayError, GatewayFault
from gateway.pin import WorkspaceFacts
from gateway.secret import Secret
from gateway.vault.rejections import REMEMBERED, UNANSWERED, KeyTrials
from tests.support.vaults import unanswered

KEY = Secret("key")


@dataclass
class Invopop:
    """Answers each check with the next of these errors; then with a workspace."""

    errors: list[GatewayError]
    asked: list[str] = field(default_factory=list)
    now: float = 0.0

    async def check(self, secret: Secret) -> WorkspaceFacts:
        """One check."""
        self.asked.append(secret.reveal())
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        return WorkspaceFacts("workspace")


@pytest.mark.parametrize(
    ("errors", "rejected", "remembered"),
    [
        ([GatewayFault("key_rejected")], True, REMEMBERED),
        ([], False, REMEMBERED),
        ([unanswered()], False, UNANSWERED),
        ([GatewayFault("circuit_open")], False, UNANSWERED),
    ],
)
async def test_asked_once_for_all_and_remembered(
    errors: list[GatewayError], rejected: bool, remembered: float
) -> None:
    """Only a 401 to the check condemns; one check serves all who ask within its time."""
    invopop = Invopop(errors)
    trials = KeyTrials(invopop.check, lambda: invopop.now)
    found = await asyncio.gather(*(trials.rejected(KEY) for _ in range(20)))
    assert found == [rejected] * 20
    invopop.now = remembered - 0.1
    assert await trials.rejected(KEY) is rejected
    assert invopop.asked == ["key"]
    invopop.now = remembered
    assert await trials.rejected(KEY) is False
    assert invopop.asked == ["key", "key"]


async def test_each_key_has_its_own_verdict() -> None:
    """What Invopop says of one key says nothing of another."""
    invopop = Invopop([GatewayFault("key_rejected")])
    trials = KeyTrials(invopop.check, lambda: 0.0)
    assert await trials.rejected(KEY)
    assert not await trials.rejected(Secret("other"))


async def test_who_leaves_does_not_end_it_for_others() -> None:
    """A cancelled request leaves the check to those who still wait for it."""
    invopop = Invopop([GatewayFault("key_rejected")])
    trials = KeyTrials(invopop.check, lambda: 0.0)
    leaving, staying = (asyncio.create_task(trials.rejected(KEY)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying
    assert invopop.asked == ["key"]
