"""Spellings of a path that some server might read as that path: the products of small disguises."""

from collections.abc import Callable, Iterator
from itertools import combinations, product
from typing import Final
from urllib.parse import quote

Disguise = Callable[[str], str]


def _escaped(text: str) -> str:
    return "".join(f"%{ord(letter):02X}" for letter in text)


def _escaped_first(text: str) -> str:
    return _escaped(text[0]) + text[1:]


def _escaped_twice(text: str) -> str:
    return _escaped(text).replace("%", "%25")


def _wide(text: str) -> str:
    """In full-width letters, which compatibility forms (NFKC) undo."""
    wide = (chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in text)
    return quote("".join(wide))


def _overlong_twice(text: str) -> str:
    """The first letter in two bytes, which is one too many, escaped twice."""
    code = ord(text[0])
    return f"%25c{code >> 6:x}%25{0x80 | code & 0x3F:02x}{text[1:]}"


def _ending(ending: str) -> Disguise:
    return lambda text: text + ending


# Letters first, so that endings are added to what is left of them.
LETTERS: Final[tuple[Disguise, ...]] = (
    str.upper, str.title, _escaped_first, _escaped, _escaped_twice, _wide, _overlong_twice,
    lambda text: text.replace("s", "%C5%BF").replace("i", "%C4%B1"),
    lambda text: f"%20{text[0]}%C2%AD{text[1:]}",
)  # fmt: skip
ENDINGS: Final = tuple(
    map(_ending, (";", ";x=1", ";%2F", "%3B", "%253Bx", "%20", "%20.", "%2520", "%C2%A0", "%252e"))
)
SLASHES: Final = ("/", "%2F", "%2f", "%252F")


def disguises() -> Iterator[Disguise]:
    """Every single one, and every pair of one of letters and one of endings, or of two endings."""
    yield from (*LETTERS, *ENDINGS)
    for one, two in (*product(LETTERS, ENDINGS), *combinations(ENDINGS, 2)):
        yield lambda text, one=one, two=two: two(one(text))  # type: ignore[misc]


def spellings(path: str) -> list[str]:
    """The path with its first, last or every segment disguised, other slashes, and other ends."""
    parts = path.split("/")[1:]
    found = {path.replace("/", slash).replace(slash, "/", 1): None for slash in SLASHES}
    for disguise in disguises():
        for chosen in ({0}, {len(parts) - 1}, set(range(len(parts)))):
            spelt = [disguise(part) if at in chosen else part for at, part in enumerate(parts)]
            for slash in SLASHES:
                found[f"/{spelt[0]}" + "".join(slash + part for part in spelt[1:])] = None
    for ending in ("%3F", "%3fx=1", "%23", "%253Fx", "%252500x", ".json", "%2ejson", ".", "/%3F"):
        found[path + ending] = None
    return [spelling for spelling in found if spelling != path]
