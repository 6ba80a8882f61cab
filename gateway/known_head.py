"""Heads that differ from an earlier one of their connection in nothing but some values: read once.

Rule: pure. Each belongs to one connection, which keeps a bounded number of bounded heads, so nobody
else's head can be in its place; what varies is checked each time as strictly as the first time.
"""

from typing import Final

from gateway.framing import CONTROLS

Headers = list[tuple[bytes, bytes]]

MOST_BYTES: Final = 4096  # of all heads that one connection remembers
MOST_FIELDS: Final = 24  # of one of them


class KnownLines:
    """The field lines of a valid head. `varying` are the positions whose values are new each time.

    `headers` are the fields that the lines are, `size` is their bytes.
    """

    __slots__ = ("_lines", "_prefixes", "headers", "size", "varying")

    def __init__(self, lines: list[bytes], headers: Headers, varying: list[int]) -> None:
        self.size = sum([len(line) for line in lines])
        self.headers = headers
        self.varying = varying
        self._lines = lines
        self._prefixes: list[bytes] = []
        for at in varying:
            line = lines[at]
            self._prefixes.append(line[: len(line) - len(headers[at][1])])
            lines[at] = b""

    def fields(self, lines: list[bytes]) -> Headers | None:
        """The fields of a head with these lines; None unless it differs only in what varies.

        Uses `lines` up.
        """
        if len(lines) != len(self._lines):
            return None
        headers = self.headers.copy()
        for index, at in enumerate(self.varying):
            line, prefix = lines[at], self._prefixes[index]
            value = line[len(prefix) :]
            if not line.startswith(prefix) or not _is_value(value):
                return None
            headers[at] = (headers[at][0], value)
            lines[at] = b""
        return headers if lines == self._lines else None


def remember(
    lines: list[bytes], headers: Headers, before: KnownLines | None, fixed: frozenset[bytes]
) -> KnownLines:
    """What is known after a head with these lines and fields, which was read in full.

    `before` is what was known until then. Values of `fixed` names, in lower case, never vary.
    Keeps `lines`.
    """
    varying: list[int] = []
    if before is not None and len(before.headers) == len(headers):
        for at, (name, value) in enumerate(headers):
            old_name, old_value = before.headers[at]
            differs = value != old_value or at in before.varying
            if differs and name == old_name and name not in fixed and _may_vary(lines[at], value):
                varying.append(at)
    return KnownLines(lines, headers, varying)


def _is_value(value: bytes) -> bool:
    """Whether this can be all of a field's value: no control character, no white space around it.

    Its cost is its length.
    """
    if value.isalnum():
        return True
    whole = bool(value) and value.strip(b"\t ") == value
    return whole and len(value.translate(None, CONTROLS)) == len(value)


def _may_vary(line: bytes, value: bytes) -> bool:
    return bool(value) and line.endswith(value)


class KnownRequest:
    """What the requests have in common whose heads have these lines; each reader fills in its part.

    It follows from the fields alone, without what varies; who needs more to know says of what else
    it holds: `digest_by`, `carried_for`. Positions are those in `headers`, -1 if there is none.
    """

    __slots__ = (
        "adds_agent", "carried", "carried_for", "credential", "digest", "digest_by", "expects",
        "holes", "id_at", "keep_alive", "length", "length_at", "lines", "no_copies", "secrets",
        "shortest", "tenant_headers", "timeout", "trace_at", "unread", "was_read",
    )  # fmt: skip

    def __init__(self, lines: KnownLines, id_at: int, trace_at: int) -> None:
        self.lines = lines
        self.id_at = id_at
        self.trace_at = trace_at
        # The server: framing, and what is asked of the connection.
        self.length: int | None = 0
        self.length_at = -1
        self.keep_alive = True
        self.expects = False
        # `inbound`: what is asked of the gateway, once it `was_read`.
        self.was_read = False
        self.credential: bytes | None = None
        self.unread: tuple[bytes, ...] = ()
        self.tenant_headers: tuple[bytes, ...] = ()
        self.timeout: float | None = None
        # `identity`: the credential's digest; whether what does not vary has `no_copies` of its
        # `secrets`, of which the shortest has so many bytes (0: not known yet).
        self.digest: bytes | None = None
        self.digest_by: object = None
        self.no_copies = False
        self.secrets: tuple[bytes, ...] = ()
        self.shortest = 0
        # `upstream`: the lines that are sent on to a host, where varying fields are in them, and
        # whether they lack a `User-Agent`.
        self.carried: list[bytes] = []
        self.carried_for: bytes | None = None
        self.holes: list[tuple[int, int]] = []
        self.adds_agent = False


def position(headers: Headers, name: bytes) -> int:
    """Where the only field of that name is: -1 if there is none, -2 if there are several."""
    found = -1
    for at, field in enumerate(headers):
        if field[0] == name:
            if found >= 0:
                return -2
            found = at
    return found


class ReplyLines:
    """The fields of a reply as lines, none of which is hop-by-hop. `dated`: one is `Date`.

    `length` is the value of `Content-Length`, None if there is none.
    """

    __slots__ = ("dated", "length", "lines")

    def __init__(self, lines: list[bytes], length: bytes | None, dated: bool) -> None:
        self.lines = lines
        self.length = length
        self.dated = dated


class KnownReply:
    """The same of replies: framing and, once somebody asked, what is passed on of the fields.

    `length` is that of the body, None if it is chunked. `places` pairs the position of a field that
    varies with its place in `passed`, and in `encoded`, which has the same fields as lines. Among
    these `Content-Length` is at `length_place`, or -1, and whether `Date` is there is in `dated`.
    """

    __slots__ = (
        "dated", "encoded", "length", "length_at", "length_place", "lines", "passed", "places",
        "status",
    )  # fmt: skip

    def __init__(self, lines: KnownLines, status: int, length: int | None) -> None:
        self.lines = lines
        self.status = status
        self.length = length
        self.length_at = -1
        self.passed: Headers | None = None
        self.encoded: list[bytes] = []
        self.dated = False
        self.length_place = -1
        self.places: list[tuple[int, int]] = []
