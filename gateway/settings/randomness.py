"""Whether a text looks as if it was made at random, as keys and tokens are. Pure.

It is judged by its letters: in names most pairs of neighbours are usual ones, at random only half
of them are. Rule: UUIDs are names; a passphrase of real words cannot be told from a name.
"""

import re
from typing import Final

# Which letters usually follow each: half of all pairs, and 95 % of those in names of software.
_FOLLOWERS: Final = {
    "a": "abcdefgiklmnprstuvwxyz", "b": "aeilorsu", "c": "acdehiklmoprstuy",
    "d": "abcdefgijklmoprsuy", "e": "abcdefgiklmnopqrstuvwxy", "f": "aefilortuy",
    "g": "aceghilmnoprsu", "h": "aeiortuy", "i": "abcdefgklmnoprstvxz", "j": "aesu",
    "k": "aeiosu", "l": "acdeiklmopstuy", "m": "abcdeilmopsuy", "n": "acdefgiklnopstuvy",
    "o": "abcdfgijklmnoprstuvwx", "p": "acdehiloprstuy", "q": "lu",
    "r": "abcdefgiklmnoprstuvy", "s": "acdefhiklmnopqstuwy", "t": "abcdefhilmoprstuwy",
    "u": "abcdegilmnprst", "v": "aeio", "w": "aeinors", "x": "aipt", "y": "abcdeglmnoprst",
    "z": "e",
}  # fmt: skip
_USUAL: Final = frozenset(a + b for a, followers in _FOLLOWERS.items() for b in followers)
_UUID: Final = re.compile(r"(?i)(?<![0-9a-f])[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f])")
_RUN: Final = re.compile(r"[A-Za-z0-9_+=-]+")
_WORD: Final = re.compile(r"[A-Za-z0-9]+")
# Hex digits, a very long number, and a very long word with digits within it.
_LONG: Final = re.compile(
    r"(?i:(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{16,})|[0-9]{20,}"
    r"|(?=[A-Za-z]*[0-9]+[A-Za-z])[A-Za-z0-9]{24,}"
)
_SHORTEST: Final = 12  # characters of a word that can be judged
_MOST: Final = 0.3  # of a name's pairs that may be unusual
_LEAST: Final = 8  # unusual pairs of several words together


def looks_random(text: str) -> bool:
    """Whether some part of it does."""
    if len(text) < _SHORTEST:
        return False
    rest = _UUID.sub("", text)
    return any(map(_is_random, (rest, *_RUN.findall(rest))))


def without_random(text: str, instead: str) -> str:
    """The text with `instead` in place of what looks random, UUIDs aside."""
    if not looks_random(text):
        return text
    made, end = "", 0
    for uuid in _UUID.finditer(text):
        made += _replaced(text[end : uuid.start()], instead) + uuid[0]
        end = uuid.end()
    made += _replaced(text[end:], instead)
    return instead if made == text else made


def _replaced(text: str, instead: str) -> str:
    return _RUN.sub(lambda run: instead if _is_random(run[0]) else run[0], text)


def _is_random(run: str) -> bool:
    """Whether one word of it is, or all of them together are: base64url has `-` and `_` within."""
    if len(run) < _SHORTEST:
        return False
    total = odd = 0
    for word in _WORD.findall(run):
        unusual = sum(map(_is_unusual, word, word[1:]))
        if _LONG.fullmatch(word) or (len(word) >= _SHORTEST and unusual > _MOST * (len(word) - 1)):
            return True
        total, odd = total + len(word) - 1, odd + unusual
    return odd >= _LEAST and odd > _MOST * total


def _is_unusual(first: str, second: str) -> bool:
    """A letter beside a digit, a capital within a word, or letters that seldom stand together."""
    if first.isdigit() or second.isdigit():
        return first.isdigit() != second.isdigit()
    return (first.islower() and second.isupper()) or (first + second).lower() not in _USUAL
