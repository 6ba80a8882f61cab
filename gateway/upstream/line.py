"""The line for a connection: the caller that holds least is next; its tenants take turns.

Rule: pure. Whose turn it is depends on who waits and on what each of them holds, not on how many
requests of theirs wait.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from typing import NamedTuple

from gateway.shares import Party, Shares

Waiter = asyncio.Future[None]
_Queue = deque[Waiter]


class Turn(NamedTuple):
    """Whose turn it is."""

    party: Party
    waiter: Waiter


class WaitingLine:
    """Requests that wait, at most `places` of them."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._waiting = 0
        self._by_caller = Counter[str]()  # how many of each caller's wait
        # Each caller with its tenants, each tenant with its requests; whose turn is next is first.
        self._callers: OrderedDict[str, OrderedDict[str, _Queue]] = OrderedDict()

    def __len__(self) -> int:
        return self._waiting

    def join(self, party: Party, waiter: Waiter) -> bool:
        """Puts a request in line; false if there is no place for it.

        Where the line is full, the last one of whoever has most in it makes room for one of whoever
        has less: its waiter is woken.
        """
        if self._waiting >= self._places and not self._make_room(party):
            return False
        tenant, caller = party
        tenants = self._callers.setdefault(caller, OrderedDict())
        tenants.setdefault(tenant, deque()).append(waiter)
        self._by_caller[caller] += 1
        self._waiting += 1
        return True

    def leave(self, party: Party, waiter: Waiter) -> None:
        """A request stops waiting, if it still does."""
        queue = self._queue(party)
        if waiter in queue:
            queue.remove(waiter)
            self._left(party)

    def _queue(self, party: Party) -> _Queue:
        tenant, caller = party
        tenants = self._callers.get(caller)
        return _Queue() if tenants is None else tenants.get(tenant, _Queue())

    def _make_room(self, party: Party) -> bool:
        caller = party[1]
        if not self._places:
            return False
        (greedy, most), *_ = self._by_caller.most_common(1)
        if most > self._by_caller[caller]:
            name = next(reversed(self._callers[greedy]))
        else:
            greedy = caller
            sizes = {name: len(queue) for name, queue in self._callers[caller].items()}
            name = max(sizes, key=sizes.__getitem__)
            if sizes[name] <= len(self._queue(party)):
                return False
        waiter = self._callers[greedy][name].pop()
        self._left((name, greedy))
        if not waiter.done():
            waiter.set_result(None)
        return True

    def next(self, shares: Shares, used: int, free: int) -> Turn | None:
        """The next request whose party may take one more, which leaves the line, if there is one.

        `shares` are those of the connections, of which `used` are in use and `free` are not.
        """
        held = shares.by_caller()
        for caller in sorted(self._callers, key=held.__getitem__):  # in turn if they hold as much
            tenants = self._callers[caller]
            for tenant, queue in tenants.items():
                party = (tenant, caller)
                if shares.may_take(party, used, free):
                    waiter = queue.popleft()
                    tenants.move_to_end(tenant)
                    self._callers.move_to_end(caller)
                    self._left(party)
                    return Turn(party, waiter)
        return None

    def _left(self, party: Party) -> None:
        tenant, caller = party
        tenants = self._callers[caller]
        if not tenants[tenant]:
            del tenants[tenant]
            if not tenants:
                del self._callers[caller]
        self._by_caller[caller] -= 1
        if not self._by_caller[caller]:
            del self._by_caller[caller]
        self._waiting -= 1
