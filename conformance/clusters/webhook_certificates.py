"""The serving certificate of a controller's webhooks, in the form in which its own rotator would have made it.

LWS and Kueue make their certificates themselves (`internalCertManagement`) and keep them in a Secret that a kubelet
mounts. Their rotator needs seconds for that on a first start. So the Secret, the mounted folder and every `caBundle`
are given the state that they have on a second start: the rotator stays switched on, finds its certificate valid, and
goes on from there.
"""

from __future__ import annotations

import base64
import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID_FOR: Final = datetime.timedelta(days=3650)
"""As the rotator's own; it makes a new one when less than 90 days are left."""

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class WebhookCertificate:
    """The keys of the Secret, as PEM."""

    data: dict[str, bytes]

    @property
    def ca_bundle(self) -> str:
        return base64.b64encode(self.data["ca.crt"]).decode()

    def secret_data(self) -> dict[str, str]:
        return {key: base64.b64encode(value).decode() for key, value in self.data.items()}

    def mount(self, folder: Path) -> None:
        """Write the keys into a folder, as a kubelet's mount of the Secret would; nothing is done if they are there."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for key in ("ca.crt", "ca.key", "tls.key", "tls.crt"):  # the certificate last: its presence means "mounted"
            path = folder / key
            if not path.exists() or path.read_bytes() != self.data[key]:
                beside = path.with_suffix(".new")
                beside.touch(mode=0o600)
                beside.write_bytes(self.data[key])
                beside.rename(path)


def webhook_certificate(dns_name: str, authority: str) -> WebhookCertificate:
    """A certificate for `<service>.<namespace>.svc`, signed by an authority of its own.

    `authority` is the name that the controller gives to its own (`kueue-ca`, `lws-ca`): it looks for it. The
    authority's key is RSA, because the rotator reads no other.
    """
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, authority)])
    ca_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    ca_usage = x509.KeyUsage(True, False, True, False, False, True, False, False, False)
    ca = (
        _builder(ca_name, ca_name, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(ca_usage, critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(authority)]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, dns_name)]), ca_name, key)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(dns_name)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return WebhookCertificate(
        {
            "ca.crt": ca.public_bytes(pem),
            "ca.key": _key_pem(ca_key),
            "tls.crt": certificate.public_bytes(pem),
            "tls.key": _key_pem(key),
        }
    )


def _builder(subject: x509.Name, issuer: x509.Name, key: Key) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + VALID_FOR)
    )


def _key_pem(key: Key) -> bytes:
    traditional = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, traditional, serialization.NoEncryption())
