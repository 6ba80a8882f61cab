"""Keeps the memory of this process, and so every key, from other processes of its user."""

import ctypes
import resource
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4  # prctl(2)


def keep_memory_private() -> None:
    """No core files, and on Linux no debugger of the same user and no `/proc/PID/mem`.

    Root, or who has CAP_SYS_PTRACE, can still read it. Elsewhere than on Linux only core files are
    switched off.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # Core files that go through a pipe (systemd-coredump) ignore the limit, but not this.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
