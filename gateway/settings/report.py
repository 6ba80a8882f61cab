"""Problems as one readable block. Pure; control characters never reach the terminal."""

from collections.abc import Sequence
from itertools import groupby

from gateway.errors import Problem


def render(problems: Sequence[Problem]) -> str:
    """All problems, file by file in the order of reading, for stderr; no newline at the end."""
    order = list(dict.fromkeys(problem.file for problem in problems))
    ordered = sorted(problems, key=lambda problem: order.index(problem.file))
    count = f"{len(problems)} problem{'' if len(problems) == 1 else 's'}"
    lines = [f"The configuration is refused: {count}."]
    for file, group in groupby(ordered, key=lambda problem: problem.file):
        lines += ["", file]
        for problem in group:
            lines += [f"  {problem.key}"] if problem.key else []
            lines += [f"    found     {problem.found}", f"    expected  {problem.expected}"]
    return "\n".join(printable(line) for line in lines)


def printable(text: str) -> str:
    """The text with what no terminal should be given written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
