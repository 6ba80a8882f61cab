"""How the cost of some work grows with its size: what a busy machine can't falsify."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

ROUNDS = 3
Size = TypeVar("Size")


def growth(work: Callable[[Size], object], small: Size, large: Size) -> float:
    """How many times the CPU time of `large` is that of `small`, each the best of three.

    The sizes should differ by a factor of four or more: linear work then gives about
    that factor, quadratic work its square. Collections of garbage are left out: what they
    cost depends on what the process holds, which in a run of many tests is not the work's.
    """
    return _cost(work, large) / _cost(work, small)


def _cost(work: Callable[[Size], object], size: Size) -> float:
    costs = []
    with uncollected():
        for _ in range(ROUNDS):
            began = time.process_time()
            work(size)
            costs.append(time.process_time() - began)
    return max(min(costs), 1e-6)


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage is collected meanwhile."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
