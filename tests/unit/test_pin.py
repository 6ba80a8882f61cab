"""What a pin says of a workspace."""

import pytest

from gateway.pin import Pin, WorkspaceFacts


@pytest.mark.parametrize(
    ("pin", "found", "mismatch"),
    [
        (Pin("w"), WorkspaceFacts("w"), None),
        (Pin("w"), WorkspaceFacts("v"), "pin_mismatch"),
        (Pin("5B45453C-CDD0"), WorkspaceFacts("5b45453c-cdd0"), None),
        (Pin(sandbox=False), WorkspaceFacts("w", sandbox=False), None),
        (Pin(sandbox=False), WorkspaceFacts("w", sandbox=True), "pin_mismatch_sandbox"),
        (Pin(sandbox=True), WorkspaceFacts("w", sandbox=False), "pin_mismatch_sandbox"),
        (Pin(sandbox=False), WorkspaceFacts("w"), "pin_mismatch_sandbox"),
        (Pin(country="ES"), WorkspaceFacts("w", country="ES"), None),
        (Pin(country="ES"), WorkspaceFacts("w", country="PT"), "pin_mismatch_country"),
        (Pin(country="ES"), WorkspaceFacts("w", country="es"), "pin_mismatch_country"),
        (Pin(country="ES"), WorkspaceFacts("w"), "pin_mismatch_country"),
        (Pin(country="EL"), WorkspaceFacts("w", country="GR"), None),
        (Pin(country="GR"), WorkspaceFacts("w", country="EL"), None),
        (Pin(country="EL"), WorkspaceFacts("w", country="EL"), None),
        (Pin(country="EL"), WorkspaceFacts("w", country="ES"), "pin_mismatch_country"),
        (Pin(country="XI"), WorkspaceFacts("w", country="GB"), "pin_mismatch_country"),
        (Pin(country="GB"), WorkspaceFacts("w", country="XI"), "pin_mismatch_country"),
        (Pin("w", False, "ES"), WorkspaceFacts("w", False, "ES"), None),
        (Pin("w", False, "ES"), WorkspaceFacts("w", True, "PT"), "pin_mismatch_sandbox"),
    ],
)
def test_a_pin_holds_only_if_invopop_says_all_of_it(
    pin: Pin, found: WorkspaceFacts, mismatch: str | None
) -> None:
    """What it does not say is not confirmed."""
    assert pin.differs(found) == mismatch


def test_what_was_confirmed_for_one_pin_may_be_confirmed_for_another() -> None:
    """For one that asks for no more."""
    full = Pin("w", False, "ES")
    for less in (Pin(), Pin("w"), Pin(sandbox=False), Pin(country="ES"), full):
        assert less.within(full)
    for other in (Pin("v"), Pin(sandbox=True), Pin("w", True, "ES"), Pin(country="PT")):
        assert not other.within(full)
    assert not Pin(sandbox=False).within(None)
    assert str(full) == "workspace w, country ES, no sandbox"
