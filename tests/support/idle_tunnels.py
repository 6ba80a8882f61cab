"""Opens tunnels, each with one request, and holds them until its standard input ends.

`python -m tests.support.idle_tunnels PORT CA NUMBER`: in a process of its own, as descriptors above
1,023 are none for `select`, which the tests' own callers and origins use.
"""

import sys
from pathlib import Path

from tests.support.tunnels import TunnelClient

if __name__ == "__main__":
    port, ca, number = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    tunnels, answers = [], set()
    for _ in range(number):
        tunnels.append(TunnelClient(port, ca).open("localhost:443"))
        answers.add(tunnels[-1].ask("GET /idle").status)
    sys.stdout.write(f"{answers}\n")
    sys.stdout.flush()
    sys.stdin.read()
