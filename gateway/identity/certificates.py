"""The caller that a verified client certificate names, by its URI and DNS SANs. Pure.

Law: names match whole and exactly; a certificate of two callers is nobody's.
"""

from collections.abc import Iterable, Mapping

from gateway.model import Peer


class Certificates:
    """Callers known by certificate, built once from `{caller: its URI and DNS names}`."""

    def __init__(self, callers: Mapping[str, Iterable[str]]) -> None:
        self._uris: dict[str, set[str]] = {}
        self._dns_names: dict[str, set[str]] = {}
        for caller, names in callers.items():
            for name in names:
                kind = self._uris if ":" in name else self._dns_names  # no DNS name holds a colon
                kind.setdefault(name, set()).add(caller)

    def find(self, peer: Peer) -> str | None:
        """The caller's name; None if the certificate names none, or several."""
        found: set[str] = set()
        for uri in peer.uris or ():
            found |= self._uris.get(uri, set())
        for name in peer.dns_names or ():
            found |= self._dns_names.get(name, set())
        return found.pop() if len(found) == 1 else None
