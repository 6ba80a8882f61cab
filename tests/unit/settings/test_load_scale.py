"""Large vault files: validated whole, in time that grows with their size only."""

import time
from typing import Any

TENANTS = 10_000


def vault(tenants: int) -> str:
    """A vault file with that many tenants."""
    return "".join(
        f'[tenants.tenant-{n}]\nkey = {{ env = "TENANT_{n}_KEY" }}\nworkspace = "w-{n}"\n'
        for n in range(tenants)
    )


def test_ten_thousand_tenants(workshop: Any) -> None:
    """10,000 tenants are read within 1.5 s of CPU."""
    text = vault(TENANTS)
    started = time.process_time()
    loaded = workshop.load(vault=text)
    assert time.process_time() - started < 1.5
    assert loaded.vault.tenants["tenant-9999"].key.reference == "TENANT_9999_KEY"


def test_thousands_of_wrong_tenants(workshop: Any) -> None:
    """A fifth as many wrong ones are all reported in the same time."""
    text = vault(TENANTS // 5).replace("env", "evn")
    started = time.process_time()
    problems = workshop.problems(vault=text)
    assert time.process_time() - started < 1.5
    assert len(problems) == TENANTS // 5
