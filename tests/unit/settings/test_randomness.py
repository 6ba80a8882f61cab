"""What looks made at random, and what looks like a name."""

import base64
import random
import string
import uuid

import pytest

from gateway.settings.randomness import looks_random, without_random

_RANDOM = random.Random(13)
ALPHABETS = {
    "base62": string.ascii_letters + string.digits,
    "base64url": string.ascii_letters + string.digits + "-_",
    "base32": string.ascii_uppercase + "234567",
    "base36": string.ascii_lowercase + string.digits,
    "letters": string.ascii_letters,
    "hex": "0123456789abcdef",
}
NAMES = [
    "acme", "hotel-a", "ESB12345678", "nl123456789b01", "FR83404833048", "customer-00012345",
    "acme-3f2a91bc", "Rechtsschutz-GmbH-Co-KG", "Przedsiebiorstwo-Wschod", "knightsbridge-2024",
    "system:serviceaccount:billing:invoicer", "spiffe://prod/billing/eu-west-1", "k8s-prod-eu-w1",
    "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEfGhI", "17841405822304914",
    "5b45453c-cdd0-11ed-afa1-0242ac120002", "ACME_INVOPOP_KEY_2024_PRODUCTION",
    "/run/secrets/2024/acme-previous.json", "secret/data/invopop/tenants/globex#api_key",
]  # fmt: skip


@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize("length", [24, 32, 43])
def test_random_texts(alphabet: str, length: int) -> None:
    """Of keys of usual lengths nearly all are seen, whatever they are made of."""
    made = ["".join(_RANDOM.choices(ALPHABETS[alphabet], k=length)) for _ in range(500)]
    assert sum(map(looks_random, made)) >= 495


def test_base64() -> None:
    """A key in base64 is seen though it is broken by slashes."""
    made = [base64.b64encode(_RANDOM.randbytes(32)).decode() for _ in range(500)]
    assert sum(map(looks_random, made)) >= 495


@pytest.mark.parametrize("name", NAMES)
def test_names(name: str) -> None:
    """Names of companies, services, places and variables are names; so are VAT numbers and ids."""
    assert not looks_random(name)
    assert without_random(name, "x") == name


def test_a_uuid_is_a_name() -> None:
    """Any of them, also with something in front of it."""
    for _ in range(100):
        made = f"workspace-{uuid.UUID(bytes=_RANDOM.randbytes(16), version=4)}"
        assert not looks_random(made)


def test_only_what_is_random_is_taken_out() -> None:
    """The rest of a path or an address says where to look."""
    secret = "4eC39HqLyjWDarjtT1zdp7dc"
    assert without_random(f"/run/keys/{secret}.json", "[x]") == "/run/keys/[x].json"
    both = f"5b45453c-cdd0-11ed-afa1-0242ac120002/{secret}"
    assert without_random(both, "[x]") == "5b45453c-cdd0-11ed-afa1-0242ac120002/[x]"
