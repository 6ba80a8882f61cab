"""Tenants whose keys turn out to be the same, or of the same workspace, which no file shows.

Pure, and one pass over all keys in memory. A key is named by its fingerprint only.
"""

from collections.abc import Iterable, Iterator

from gateway.secret import Secret
from gateway.settings.shared_keys import MOST_WARNINGS, identity, limited, listing
from gateway.settings.wording import key_path
from gateway.vault.key_ring import KeyRing, Slot


def equal_keys(rings: Iterable[KeyRing]) -> list[str]:
    """Warnings, each beginning with a key path.

    What two tenants read from one place, or pin to one workspace, is in the file's own warnings.
    """
    by_key: dict[Secret, list[Slot]] = {}
    by_workspace: dict[str, list[Slot]] = {}
    for ring in rings:
        for slot in ring.slots:
            if (key := slot.candidate or slot.key) is not None:
                by_key.setdefault(key.secret, []).append(slot)
            if slot.opens and (slot.pin is None or slot.pin.workspace is None):
                by_workspace.setdefault(slot.opens, []).append(slot)
    keys = [text for secret, slots in by_key.items() for text in _one_key(secret, slots)]
    places = [text for slots in by_workspace.values() for text in _one_workspace(slots)]
    return [
        *limited(keys[:MOST_WARNINGS], len(keys)),
        *limited(places[:MOST_WARNINGS], len(places)),
    ]


def _one_key(secret: Secret, slots: list[Slot]) -> Iterator[str]:
    if len(slots) < 2 or len({identity(slot.source) for slot in slots}) < 2:
        return
    names = list(dict.fromkeys(slot.tenant for slot in slots))
    which = f"fingerprint {secret.fingerprint}"
    if len(names) > 1:
        place = key_path(("tenants", names[0]))
        yield (
            f"{place}: {listing(names)} have the same key ({which}), though it is read from "
            "different places; one company's requests would be sent in another's name"
        )
    else:
        place = key_path(("tenants", names[0], "previous"))
        yield f"{place}: the same key as `key` ({which}); remove it, or put the old one there"


def _one_workspace(slots: list[Slot]) -> Iterator[str]:
    names = list(dict.fromkeys(slot.tenant for slot in slots))
    keys = {key.secret for slot in slots if (key := slot.candidate or slot.key) is not None}
    if len(names) > 1 and len(keys) > 1:  # the same key is warned of as such
        place = key_path(("tenants", names[0]))
        yield (
            f"{place}: {listing(names)} have keys of the same workspace; "
            "one company's requests would be sent in another's name"
        )
