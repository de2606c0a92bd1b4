"""The certificate authority of one sandbox, which nobody but that sandbox trusts: its key stays with the core."""

from __future__ import annotations

import datetime
import os
import ssl
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import from_os_error

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_FILE: Final = "authority.pem"
_YEARS: Final = datetime.timedelta(days=3650)
_DAYS: Final = datetime.timedelta(days=30)
_SLACK: Final = datetime.timedelta(days=1)
"""A certificate is valid from so long ago on: the sandbox's clock may be behind the host's."""
_MOST_HOST: Final = 64
"""Characters of a common name (X.520); the name that counts is another field."""


class Authority:
    """An authority whose key and certificate are in ``folder``; they are made there when they are not.

    `cryptography` is imported no sooner than somebody needs one.

    Attributes:
        certificate: in PEM. No secret.
    """

    def __init__(self, folder: Path) -> None:
        """Raises `StorageError`."""
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        path = folder / _FILE
        try:
            text = path.read_bytes() if path.exists() else _made(path)
        except OSError as error:
            raise from_os_error(error, f"{path} cannot be kept") from error
        key = load_pem_private_key(text, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key
        self._own = x509.load_pem_x509_certificate(text)
        self.certificate = _pem(self._own).decode()

    def context(self, host: str) -> ssl.SSLContext:
        """A TLS server's context, with a new certificate for ``host`` by this authority, valid for `_DAYS`; of HTTP it
        offers version 1.1 alone."""
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        chain = _private(key) + _pem(_leaf(host, key, self._own, self._key))
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        made.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        made.set_alpn_protocols(["http/1.1"])
        # Python's ssl takes a chain from files alone
        fd = os.memfd_create("certificate", os.MFD_CLOEXEC)
        try:
            with open(fd, "wb", closefd=False) as file:
                file.write(chain)
            made.load_cert_chain(f"/proc/self/fd/{fd}")
        finally:
            os.close(fd)
        return made


def _made(path: Path) -> bytes:
    """Write a new key and its certificate to ``path``, for this user alone. Raises OSError."""
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    text = _private(key) + _pem(_root(key))
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    return text


def _private(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _pem(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _named(text: str) -> x509.Name:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text[:_MOST_HOST])])


def _begun(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, good_for: datetime.timedelta
) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(now + good_for)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _root(key: EllipticCurvePrivateKey) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    name = _named("sandtop, for the secrets of this sandbox")
    return (
        _begun(name, name, key, _YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, SHA256())
    )


def _leaf(
    host: str, key: EllipticCurvePrivateKey, issuer: x509.Certificate, issuers_key: EllipticCurvePrivateKey
) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509.oid import ExtendedKeyUsageOID

    return (
        _begun(_named(host), issuer.subject, key, _DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuers_key.public_key()), critical=False
        )
        .sign(issuers_key, SHA256())
    )
