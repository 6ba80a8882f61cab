"""`python -m tests.bench.unobserved …`: the program, but exchanges are neither counted nor logged.

For `tests.bench.observers` only; no setting of the product does this.
"""

from gateway.cli import main
from gateway.events import Events
from gateway.observers import Observers


def _only_notices(self: Observers, events: Events) -> None:
    """What is not an exchange is logged all the same: the benchmark reads the port there."""
    vars(self)["_logger"].subscribe(events)


if __name__ == "__main__":
    Observers.subscribe = _only_notices  # type: ignore[method-assign]
    main()
