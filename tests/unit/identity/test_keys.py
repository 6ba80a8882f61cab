"""`keys`: which key a token means, and which sets are refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.identity.keys import (
    FixedKeys,
    KeySet,
    KeySetError,
    from_document,
    from_pem,
    from_secret,
)
from tests.support.certificates import Authority
from tests.support.jwt import Issuer

ALL = ("RS256", "PS256", "ES256", "EdDSA")


def document(*keys: dict[str, Any]) -> bytes:
    """A key set document."""
    return json.dumps({"keys": keys}).encode()


def bare(issuer: Issuer, index: int, **members: Any) -> dict[str, Any]:
    """A key of the issuer without `alg` and `kid`, and with these members."""
    key = {k: v for k, v in issuer.jwks()["keys"][index].items() if k not in {"alg", "kid"}}
    return {**key, **members}


def test_found_by_kid_and_algorithm(issuer: Issuer) -> None:
    """A `kid` finds its key, but only under the key's own algorithm."""
    keys = from_document(json.dumps(issuer.jwks()).encode(), ALL)
    found = keys.find("rsa-1", "RS256")
    assert found is not None
    assert found.algorithm == "RS256"
    others = [("rsa-1", "ES256"), ("ec-1", "RS256"), ("rsa-1", "PS256"), ("rsa-1", "HS256")]
    for key_id, algorithm in [*others, ("nobody", "RS256"), ("RSA-1", "RS256")]:
        assert keys.find(key_id, algorithm) is None
    assert "rsa-1" in keys
    assert "rsa-2" not in keys
    assert len(keys) == 3


def test_only_the_issuers_algorithms(issuer: Issuer) -> None:
    """Keys for algorithms that the issuer's list lacks are not there."""
    keys = from_document(json.dumps(issuer.jwks()).encode(), ("ES256",))
    assert keys.find("ec-1", "ES256")
    assert keys.find("rsa-1", "RS256") is None


def test_without_kid(issuer: Issuer, tmp_path: Path) -> None:
    """A token without `kid` means the only key for its algorithm, and no key if there are two."""
    one = from_document(document(bare(issuer, 0, kid="a"), bare(issuer, 1, kid="b")), ALL)
    found = one.find(None, "RS256")
    assert found is not None
    assert found is one.find("a", "RS256")
    other = Issuer(tmp_path, "other")
    two = from_document(document(bare(issuer, 0, kid="a"), bare(other, 0, kid="b")), ALL)
    assert two.find(None, "RS256") is None
    assert two.find("a", "RS256") != two.find("b", "RS256")


def test_only_key_without_kid(issuer: Issuer, tmp_path: Path) -> None:
    """An only key that bears no `kid` serves tokens that name any; beside others it does not."""
    one = from_document(document(bare(issuer, 0)), ALL)
    assert one.find("anything", "RS256") is one.find(None, "RS256") is not None
    other = Issuer(tmp_path, "other")
    two = from_document(document(bare(issuer, 0), bare(other, 0, kid="b")), ALL)
    assert two.find("anything", "RS256") is None
    assert two.find(None, "RS256") is not None or two.find("b", "RS256") is not None


def test_ambiguous_kid(issuer: Issuer, tmp_path: Path) -> None:
    """Two different keys under one `kid` and algorithm: neither; the same key twice: that one."""
    other = Issuer(tmp_path, "other")
    keys = from_document(document(bare(issuer, 0, kid="a"), bare(other, 0, kid="a"),
                                  bare(issuer, 1, kid="a")), ALL)  # fmt: skip
    assert keys.find("a", "RS256") is None
    assert keys.find("a", "ES256")
    same = from_document(document(bare(issuer, 0, kid="a"), bare(issuer, 0, kid="a")), ALL)
    assert same.find("a", "RS256")


def test_contents_tell_sets_apart(issuer: Issuer) -> None:
    """Order and foreign members do not matter; another `kid` or key does."""
    a, b = bare(issuer, 0, kid="a"), bare(issuer, 1, kid="b")
    keys = from_document(document(a, b), ALL)
    assert keys.contents == from_document(document(b, {**a, "x5t": "x"}), ALL).contents
    assert keys.contents != from_document(document(a), ALL).contents
    assert keys.contents != from_document(document(a, {**b, "kid": "c"}), ALL).contents


def test_keys_that_do_not_fit_are_skipped(issuer: Issuer) -> None:
    """A set may hold keys for others (RFC 7517 5): they do no harm."""
    odd = [{"kty": "oct", "k": "c2VjcmV0"}, {"kty": "XYZ"}, {}, bare(issuer, 0, kid=5),
           bare(issuer, 0, kid="enc", use="enc")]  # fmt: skip
    keys = from_document(document(*odd, bare(issuer, 0, kid="a")), ALL)
    assert {key_id for key_id, _ in keys.contents} == {"a"}


def odd(issuer: Issuer, **members: Any) -> str:
    """The issuer's first key with these members, in JSON."""
    return json.dumps(bare(issuer, 0, **members))


BESIDE = [
    "null", '"k2"', "7", "[]", "[[]]", "{}", "true",
    '{"kty":"RSA","kid":"z","kid":"z","n":"AQAB","e":"AQAB"}',
    '{"kty":"RSA","kid":"z","n":"AQAB","e":"AQAB","oth":[{"r":"AQ","r":"AQ"}]}',
    '{"kty":"RSA","kid":"z","n":"AQAB","e":%s}' % ("9" * 5000),
    '{"kty":"RSA","kid":"z","x5c":%s}' % ("[" * 40 + "]" * 40),
    '{"kty":"AKP","kid":"pq","alg":"ML-DSA-44","pub":"AA"}',
    '{"kty":null,"kid":null,"n":null}', '{"kty":["RSA"],"kid":"z"}', '{"kid":["z"]}',
    '{"kty":"EC","crv":{"P-256":1},"x":1,"y":null,"kid":"z"}',
]  # fmt: skip


@pytest.mark.parametrize("other", BESIDE)
def test_one_odd_key_loses_no_other(issuer: Issuer, other: str) -> None:
    """RFC 7517 5: keys that cannot be understood are ignored, before the good one and behind it."""
    good = odd(issuer, kid="a")
    for keys in (f"{other},{good}", f"{good},{other}"):
        found = from_document(f'{{"keys":[{keys}]}}'.encode(), ALL)
        assert {key_id for key_id, _ in found.contents} == {"a"}


@pytest.mark.parametrize("member", ["kid", "alg", "use", "key_ops", "x5c", "crv", "x", "d", "exp"])
def test_a_null_member_is_absent(issuer: Issuer, member: str) -> None:
    """Serializers write null for what they do not have."""
    text = f'{{"keys":[{odd(issuer, **{member: None})}]}}'
    with_null, without = (
        from_document(text.encode(), ALL),
        from_document(document(bare(issuer, 0)), ALL),
    )
    assert with_null.contents == without.contents


def test_empty_key_ops_restrict_nothing(issuer: Issuer) -> None:
    """An empty list of operations is one that names none, as some issuers publish it."""
    assert from_document(document(bare(issuer, 0, key_ops=[])), ALL)


def test_a_byte_order_mark_is_ignored(issuer: Issuer) -> None:
    """RFC 8259 8.1 allows that."""
    text = document(bare(issuer, 0))
    assert from_document(b"\xef\xbb\xbf" + text, ALL).contents == from_document(text, ALL).contents


REFUSED: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"<html>", "garbage"),
    "nothing": (b"", "garbage"),
    "a list": (b"[]", "garbage"),
    "no keys": (b"{}", "garbage"),
    "keys no list": (b'{"keys":{}}', "garbage"),
    "keys null": (b'{"keys":null}', "garbage"),
    "UTF-16": ('{"keys":[]}'.encode("utf-16"), "garbage"),
    "key no object": (b'{"keys":["x"]}', "no_usable_key"),
    "keys twice": (b'{"keys":[],"keys":[]}', "garbage"),
    "deep": (b"[" * 100_000, "garbage"),
    "empty": (b'{"keys":[]}', "no_usable_key"),
    "symmetric only": (b'{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}', "no_usable_key"),
    "too many": (document(*[{}] * 257), "too_many_keys"),
}


def test_a_large_set_is_a_set(issuer: Issuer) -> None:
    """256 keys are not too many."""
    assert len(from_document(document(*[{}] * 255, bare(issuer, 0, kid="a")), ALL))


@pytest.mark.parametrize("name", REFUSED)
def test_documents_refused(name: str) -> None:
    """Case 152: what is no key set, or an empty one, is an error and never "no keys"."""
    text, reason = REFUSED[name]
    with pytest.raises(KeySetError, match=f"^{reason}$"):
        from_document(text, (*ALL, "HS256"))


def test_from_pem(issuer: Issuer, tmp_path: Path) -> None:
    """A PEM public key serves every algorithm of its type and tokens with any `kid`."""
    keys = from_pem(issuer.public_pem(), ("RS256", "PS256", "ES256", "HS256"))
    assert keys.find(None, "RS256")
    assert keys.find("any", "PS256")
    assert keys.find("any", "HS256") is None
    certificate = Authority(tmp_path).certificate("id.internal").read_bytes()
    assert from_pem(certificate, ("RS256", "ES256"))


def test_wrong_pem(issuer: Issuer) -> None:
    """Private keys, garbage, and keys of another type are refused."""
    private = issuer.rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for pem in (b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n"):
        with pytest.raises(KeySetError, match=r"^garbage$"):
            from_pem(pem, ("RS256",))
    with pytest.raises(KeySetError, match=r"^private_key$"):
        from_pem(private, ("RS256",))
    with pytest.raises(KeySetError, match="no_usable_key"):
        from_pem(issuer.public_pem(), ("ES256",))


def test_from_secret() -> None:
    """A long enough secret serves HMAC and nothing else."""
    assert from_secret("s" * 32, ("HS256",)).find("any", "HS256")
    for secret, algorithm in (("s" * 31, "HS256"), ("s" * 32, "HS512"), ("s" * 32, "RS256")):
        with pytest.raises(KeySetError, match="weak_secret"):
            from_secret(secret, (algorithm,))


async def test_fixed_keys() -> None:
    """Fixed keys never ask for a fetch: a token's `kid` makes nobody wait."""
    keys = FixedKeys(KeySet(()))
    assert not keys.may_fetch("unknown")
    await keys.wait("unknown")
    assert (keys.tried, keys.healthy) == (True, True)
