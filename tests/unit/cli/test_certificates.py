"""What `check` says of certificate files."""

from datetime import timedelta
from pathlib import Path

import trustme

from gateway.cli.certificates import certificate_notes
from gateway.cli.tunnel_ca import new_authority
from gateway.settings.schema import Settings
from tests.support.certificates import Authority


def settings(**sections: object) -> Settings:
    return Settings.model_validate(sections)


def test_each_file_has_a_line(tmp_path: Path) -> None:
    """How many certificates; and that one which is no root is trusted as if it were."""
    root = trustme.CA()
    inner = root.create_child_ca()
    both, one = tmp_path / "both.pem", tmp_path / "one.pem"
    both.write_bytes(root.cert_pem.bytes() + trustme.CA().cert_pem.bytes())
    one.write_bytes(inner.cert_pem.bytes())
    own = Authority(tmp_path).certificate("gw.test")
    notes = certificate_notes(
        settings(
            upstream={"ca_file": str(both)},
            listen={"tls_certificate": str(own), "client_ca": str(one)},
        )
    )
    assert sorted(notes.held) == [
        f"listen.client_ca: 1 certificate (1 not self-signed, but trusted as a root) in {one}",
        f"listen.tls_certificate: 1 certificate in {own}",
        f"upstream.ca_file: 2 certificates in {both}",
    ]


def test_an_end_is_warned_of(tmp_path: Path) -> None:
    """Of what has expired, and of what will within thirty days."""
    authority = Authority(tmp_path)
    for days, told in ((-1, " expired on 2"), (20, " expires on 2"), (40, "")):
        path = authority.certificate("gw.test", starts=timedelta(-3), ends=timedelta(days, 600))
        notes = certificate_notes(settings(listen={"tls_certificate": str(path)}))
        assert [told in text for text in notes.warnings] == [True] * bool(told)
        assert all(text.startswith("listen.tls_certificate: ") for text in notes.warnings)


def test_what_cannot_be_read_is_left_to_the_problems(tmp_path: Path) -> None:
    """They name it already."""
    (tmp_path / "empty.pem").touch()
    for name in ("empty.pem", "none.pem"):
        notes = certificate_notes(settings(upstream={"ca_file": str(tmp_path / name)}))
        assert notes == ([], [])


def test_a_tunnels_authority_signs_for_its_hosts_only(tmp_path: Path) -> None:
    """One without constraints is warned of, and one that does not cover every host."""
    file = tmp_path / "tunnel-ca.pem"
    upstream = {"url": "https://api.a.com", "file_hosts": ["127.0.0.1:8444", "files.b.com"]}

    def warnings(pem: bytes) -> list[str]:
        file.write_bytes(pem)
        tunnel = {"certificate": str(file), "key": str(file)}
        return certificate_notes(settings(upstream=upstream, tunnel=tunnel)).warnings

    advice = "make another with `invopop-gateway tunnel-ca`"
    assert warnings(trustme.CA().cert_pem.bytes()) == [
        f"tunnel.certificate: this CA may sign for any host that its clients call; {advice}"
    ]
    assert warnings(new_authority(["a.com", "127.0.0.1", "files.b.com"])[0]) == []
    assert warnings(new_authority(["api.a.com", "127.0.0.2", "les.b.com"])[0]) == [
        f"tunnel.certificate: this CA may not sign for {host}; {advice}"
        for host in ("127.0.0.1", "files.b.com")
    ]
