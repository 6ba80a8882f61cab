"""Who holds how much of what all requests share, and who may take more. Decides; does no I/O.

Rule: nobody gets the last of it. What one holds stays below a multiple of what is free, so the more
there are who want much, the less each of them gets, and something is left for whoever comes next.
"""

from collections import Counter

Party = tuple[str, str]
"""On whose account a request is sent: its tenant and its caller."""


class Shares:
    """How much each party holds.

    A caller may hold up to `pair` times what is free for one tenant, and a tenant or a caller as a
    whole up to `whole` times. Alone, they get `pair` of `pair + 1` parts, and all of what has no
    more parts than `pair`.
    """

    __slots__ = ("_held", "_pair", "_whole")

    def __init__(self, pair: int, whole: int) -> None:
        self._pair = pair
        self._whole = whole
        self._held: dict[Party, int] = {}

    def take(self, party: Party) -> None:
        """The party holds one more."""
        held = self._held
        held[party] = held.get(party, 0) + 1

    def give(self, party: Party) -> None:
        """The party holds one less."""
        left = self._held[party] - 1
        if left:
            self._held[party] = left
        else:
            del self._held[party]

    def by_caller(self) -> Counter[str]:
        """How much each caller holds; 0 for all others."""
        totals = Counter[str]()
        for (_, caller), held in self._held.items():
            totals[caller] += held
        return totals

    def may_take(self, party: Party, used: int, free: int) -> bool:
        """Whether the party may hold one more, of which `used` are held by all and `free` are not.

        Costs nothing but a comparison while less than `pair` times what is free is in use.
        """
        most = self._pair * free
        if used < most:
            return True
        if self._held.get(party, 0) >= most:
            return False
        tenant, caller = party
        of_tenant = of_caller = 0
        for (other_tenant, other_caller), held in self._held.items():
            if other_tenant == tenant:
                of_tenant += held
            if other_caller == caller:
                of_caller += held
        most = self._whole * free
        return of_tenant < most and of_caller < most
