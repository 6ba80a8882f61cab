"""Any interleaving of load, reject, check, refresh and remove: only lawful keys come out."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.model import Key
from gateway.pin import Pin
from gateway.secret import Secret
from gateway.settings.schema import VaultSettings
from gateway.settings.vault_file import VaultFile
from gateway.vault.key_ring import KeyRing, Slot
from gateway.vault.snapshot import rings_of
from tests.support.vaults import vault_file, vault_settings

TENANTS = ("a", "b")
SETTINGS: VaultSettings = vault_settings(refresh=10.0, stale_grace=20.0).vault

tenants = st.sampled_from(TENANTS)
slot_names = st.sampled_from(["key", "previous"])
versions = st.integers(0, 4)
pins = st.sampled_from([None, "one", "two"])
values = st.sampled_from([f"{pin}:{number}" for pin in ("one", "two") for number in range(4)])
entries = st.fixed_dictionaries({"store": versions, "previous": st.none() | versions, "pin": pins})


def entry(tenant: str, store: int, previous: int | None, pin: str | None) -> dict[str, object]:
    """A tenant's entry in the vault file: each version is a place in a store."""
    made: dict[str, object] = {"key": {"aws": f"{tenant}/{store}"}}
    if previous is not None:
        made["previous"] = {"aws": f"{tenant}/{previous}"}
    return made | ({"workspace": pin} if pin else {})


class Ring(RuleBasedStateMachine):
    """Values say whose they are and of which workspace: `tenant:workspace:number`."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.rings: dict[str, KeyRing] = {}
        self.configured: dict[str, str | None] = {}
        self.given: set[str] = set()

    def slot(self, tenant: str, name: str) -> Slot | None:
        ring = self.rings.get(tenant)
        return next((one for one in ring.slots if one.name == name), None) if ring else None

    @rule(wanted=st.dictionaries(tenants, entries, max_size=2))
    def reload(self, wanted: dict[str, dict[str, object]]) -> None:
        """The vault file changes: tenants come, go, move to other places, get other pins."""
        file: VaultFile = vault_file(
            {name: entry(name, **fields) for name, fields in wanted.items()}  # type: ignore[arg-type]
        )
        self.rings = rings_of(file, SETTINGS, self.rings)
        self.configured = {name: one.workspace for name, one in file.tenants.items()}

    @rule(tenant=tenants, name=slot_names, value=values, late=st.floats(0, 5))
    def load(self, tenant: str, name: str, value: str, late: float) -> None:
        """A read ends, begun a while ago."""
        if one := self.slot(tenant, name):
            value = f"{tenant}:{value}"
            self.given.add(value)
            one.loaded(Secret(value), self.now - late)

    @rule(tenant=tenants, name=slot_names)
    def fail(self, tenant: str, name: str) -> None:
        """A read fails."""
        if one := self.slot(tenant, name):
            one.failed("unavailable", self.now + 3.0)

    @rule(tenant=tenants, name=slot_names)
    def check_pin(self, tenant: str, name: str) -> None:
        """Invopop says whose the candidate is."""
        one = self.slot(tenant, name)
        if one is not None and one.candidate is not None:
            if one.candidate.secret.reveal().split(":")[1] == (one.pin or Pin()).workspace:
                one.confirmed(one.candidate)
            else:
                one.refuted(one.candidate, "pin_mismatch", self.now + 3.0)

    @rule(tenant=tenants)
    def reject(self, tenant: str) -> None:
        """Invopop answers 401 to what is in use; another key is tried."""
        ring = self.rings.get(tenant)
        key = ring.current(self.now) if ring else None
        if ring is not None and isinstance(key, Key):
            ring.reject(key, self.now)
            other = ring.alternative(key, self.now)
            if other is not None:
                assert other.secret != key.secret
                self.lawful(tenant, other)

    @rule(seconds=st.floats(0.1, 15.0))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @invariant()
    def only_its_own_whole_checked_keys(self) -> None:
        """Never another tenant's key, never a removed one's, never one of another workspace."""
        assert self.rings.keys() == self.configured.keys()
        for tenant, ring in self.rings.items():
            key = ring.current(self.now)
            if isinstance(key, Key):
                self.lawful(tenant, key)

    def lawful(self, tenant: str, key: Key) -> None:
        value = key.secret.reveal()
        assert key.tenant == tenant
        assert value in self.given
        assert value.split(":")[0] == tenant
        pin = self.configured[tenant]
        assert pin is None or value.split(":")[1] == pin
        holders = [one for one in self.rings[tenant].slots if one.key is key]
        assert any(self.now < one.good_until for one in holders)


TestRing = Ring.TestCase
TestRing.settings = settings(max_examples=40)
