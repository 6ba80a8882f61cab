"""What Invopop says of a key's workspace, and what a tenant's pins say that it must be. Pure."""

from typing import Final, Literal, NamedTuple

PinMismatch = Literal["pin_mismatch", "pin_mismatch_sandbox", "pin_mismatch_country"]
"""Which pin of a key does not hold: its workspace, `sandbox` or `country`."""

# Greece has another code in tax ids. Invopop's API description does not say which of them it uses.
_TAX_CODES: Final = {"EL": "GR"}


class WorkspaceFacts(NamedTuple):
    """What Invopop says of the workspace that a key opens; None where it says nothing."""

    id: str
    sandbox: bool | None = None
    country: str | None = None


class Pin(NamedTuple):
    """What a key's workspace must be; None where anything will do."""

    workspace: str | None = None
    sandbox: bool | None = None
    country: str | None = None

    def __str__(self) -> str:
        said = {"workspace": self.workspace, "country": self.country}
        words = [f"{name} {value}" for name, value in said.items() if value is not None]
        if self.sandbox is not None:
            words.append("a sandbox" if self.sandbox else "no sandbox")
        return ", ".join(words)

    def differs(self, found: WorkspaceFacts) -> PinMismatch | None:
        """The first member that Invopop's word does not confirm; None if all of it holds."""
        if self.workspace is not None and self.workspace.lower() != found.id.lower():
            return "pin_mismatch"
        if self.sandbox is not None and self.sandbox is not found.sandbox:
            return "pin_mismatch_sandbox"
        if self.country is not None and _iso(self.country) != _iso(found.country):
            return "pin_mismatch_country"
        return None

    def within(self, other: "Pin | None") -> bool:
        """Whether whatever was confirmed for the other pin is confirmed for this one as well."""
        pairs = zip(self, other or Pin(), strict=True)
        return all(mine is None or mine == confirmed for mine, confirmed in pairs)


def _iso(country: str | None) -> str | None:
    return _TAX_CODES.get(country, country) if country else country
