"""Large vault files: validated whole, in time that grows with their size only."""

from typing import Any

from tests.support.growth import growth

TENANTS = 10_000


def vault(tenants: int) -> str:
    """A vault file with that many tenants."""
    return "".join(
        f'[tenants.tenant-{n}]\nkey = {{ env = "TENANT_{n}_KEY" }}\nworkspace = "w-{n}"\n'
        for n in range(tenants)
    )


def test_ten_thousand_tenants(workshop: Any) -> None:
    """10,000 tenants are read in some five times the time of 2,000."""
    few, many = vault(TENANTS // 5), vault(TENANTS)
    assert growth(lambda text: workshop.load(vault=text), few, many) < 12
    loaded = workshop.load(vault=many)
    assert loaded.vault.tenants["tenant-9999"].key.reference == "TENANT_9999_KEY"


def test_thousands_of_wrong_tenants(workshop: Any) -> None:
    """2,000 wrong ones are all reported, in some five times the time of 400."""
    few, many = (vault(size).replace("env", "evn") for size in (TENANTS // 25, TENANTS // 5))
    assert growth(lambda text: workshop.problems(vault=text), few, many) < 12
    assert len(workshop.problems(vault=many)) == TENANTS // 5
