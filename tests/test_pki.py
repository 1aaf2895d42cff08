"""Certificates and kubeconfigs of a local cluster, checked with the TLS that will use them."""

from __future__ import annotations

import datetime
import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from conformance.clusters.pki import CONTROLLER_MANAGER, Authority, Identity, Pair, service_account, write_kubeconfig
from conformance.clusters.webhook_certificates import webhook_certificate

KUEUE = service_account("kueue-system", "kueue-controller-manager")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("keys"))


def shake_hands(authority: Authority, server: Pair, client: Pair, name: str) -> dict[str, set[str]]:
    """What the server learns of the client, by kind of name; raises ssl.SSLError when either refuses the other."""
    of_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.certificate_file))
    of_server.load_cert_chain(server.certificate, server.key)
    of_server.verify_mode = ssl.CERT_REQUIRED
    of_client = ssl.create_default_context(cafile=str(authority.certificate_file))
    of_client.load_cert_chain(client.certificate, client.key)
    here, there = socket.socketpair()
    learnt: dict[str, set[str]] = {}

    def serve() -> None:
        with of_server.wrap_socket(there, server_side=True) as connection:
            for part in (connection.getpeercert() or {}).get("subject", ()):
                for key, value in part:  # type: ignore[str-unpack]
                    learnt.setdefault(str(key), set()).add(str(value))

    serving = threading.Thread(target=serve)
    serving.start()
    with here, of_client.wrap_socket(here, server_hostname=name) as connection:
        connection.recv(1)
    serving.join()
    return learnt


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "kubernetes.default.svc", "10.0.0.1"])
def test_the_server_is_known_by_every_name(authority: Authority, name: str) -> None:
    """The API server's certificate is valid for each name and address by which it is reached."""
    server = authority.server("kube-apiserver")
    assert shake_hands(authority, server, authority.client("kcm", CONTROLLER_MANAGER), name)


def test_a_client_is_its_user_and_groups(authority: Authority) -> None:
    """The common name is the user and the organisations are the groups, as the API server reads them."""
    client = authority.client("kueue", KUEUE)
    learnt = shake_hands(authority, authority.server("kube-apiserver"), client, "localhost")
    assert learnt == {
        "commonName": {"system:serviceaccount:kueue-system:kueue-controller-manager"},
        "organizationName": {"system:serviceaccounts", "system:serviceaccounts:kueue-system"},
    }


def test_a_stranger_is_refused(authority: Authority, tmp_path: Path) -> None:
    """A client certificate of another authority is no identity here."""
    stranger = Authority(tmp_path / "other").client("admin", Identity("admin", ("system:masters",)))
    certificate = x509.load_pem_x509_certificate(stranger.certificate.read_bytes())
    ours = x509.load_pem_x509_certificate(authority.certificate_file.read_bytes())
    with pytest.raises(InvalidSignature):
        certificate.verify_directly_issued_by(ours)


def test_private_keys_are_private(authority: Authority) -> None:
    """Only their owner can read the keys, whatever the umask."""
    authority.client("kueue", KUEUE)
    for key in authority.folder.glob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600, key.name


def test_kubeconfig_embeds_no_key(authority: Authority, tmp_path: Path) -> None:
    """A kubeconfig names key files that exist, so that no client copies a key to a temporary file."""
    pair = authority.client("admin", Identity("admin", ("system:masters",)))
    path = write_kubeconfig(tmp_path / "kc", "https://127.0.0.1:1", authority.certificate_file, pair, name="x")
    content = yaml.safe_load(path.read_text())
    user, cluster = content["users"][0]["user"], content["clusters"][0]["cluster"]
    named = [user["client-certificate"], user["client-key"], cluster["certificate-authority"]]
    assert all(Path(file).is_absolute() and Path(file).exists() for file in named)
    assert "-data" not in path.read_text()


def test_webhook_certificate_is_what_its_rotator_accepts() -> None:
    """The authority is self-signed for its own name, signs the Service's name, and lasts for longer than 90 days."""
    made = webhook_certificate("kueue-webhook-service.kueue-system.svc", "kueue-ca")
    ca, leaf = (x509.load_pem_x509_certificate(made.data[key]) for key in ("ca.crt", "tls.crt"))
    leaf.verify_directly_issued_by(ca)
    ca.verify_directly_issued_by(ca)
    names = [c.extensions.get_extension_for_class(x509.SubjectAlternativeName).value for c in (ca, leaf)]
    assert [n.get_values_for_type(x509.DNSName) for n in names] == [
        ["kueue-ca"],
        ["kueue-webhook-service.kueue-system.svc"],
    ]
    assert min(c.not_valid_after_utc - c.not_valid_before_utc for c in (ca, leaf)) > datetime.timedelta(days=91)
    assert made.data["ca.key"].startswith(b"-----BEGIN RSA PRIVATE KEY-----")
    assert ca.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "kueue-ca"


def test_mounting_again_changes_only_what_differs(tmp_path: Path) -> None:
    """A mount leaves equal files alone and replaces those of a Secret that has changed."""
    first, second = (webhook_certificate("a.b.svc", "a-ca") for _ in range(2))
    first.mount(tmp_path)
    before = {file.name: file.stat().st_ino for file in tmp_path.iterdir()}
    first.mount(tmp_path)
    assert {file.name: file.stat().st_ino for file in tmp_path.iterdir()} == before
    second.mount(tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == second.data
