"""A long run by hand: atheris drives one check with whatever reaches new code, until it is ended.

`python -m tests.fuzz inbound [-max_total_time=600 …]`, or `reply`, or `target`; the options are
libFuzzer's. What reaches new code is kept in `.fuzz/NAME`; what breaks a law in `.fuzz/crash-…`.
"""

import importlib
import sys
from pathlib import Path
from typing import Any, Final

_CHECKS: Final = ("inbound", "reply", "target")
_INSTRUMENTED: Final = ["gateway.server", "gateway.upstream", "gateway.inbound"]


def main() -> None:
    """Never returns."""
    if len(sys.argv) < 2 or sys.argv[1] not in _CHECKS:
        sys.exit(f"usage: python -m tests.fuzz {{{'|'.join(_CHECKS)}}} [libFuzzer options]")
    name, options = sys.argv[1], sys.argv[2:]
    try:
        atheris: Any = importlib.import_module("atheris")  # untyped, and of no use elsewhere
    except ImportError:
        sys.exit("atheris is missing: use `uv run --group fuzz …`")
    with atheris.instrument_imports(include=_INSTRUMENTED):
        module: Any = importlib.import_module(f"tests.fuzz.{name}")
    corpus = Path(".fuzz") / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(module.CORPUS):
        (corpus / f"seed-{number:03}").write_bytes(seed)
    atheris.Setup([sys.argv[0], str(corpus), "-artifact_prefix=.fuzz/", *options], module.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
