"""What skopeo's errors are taken for. Those of a real registry are in `test_pull`; these are as others send them."""

from __future__ import annotations

import pytest

from sandtop.core.errors import ImageError, NotFound, StorageError
from sandtop.core.guest.containers.skopeo import explain

HUB = "docker.io"


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (
            'Error parsing image name \\"docker://docker.io/x/y\\": reading manifest latest in docker.io/x/y: '
            "errors:\\ndenied: requested access to the resource is denied\\nunauthorized: authentication required",
            ImageError,
            "docker.io wants a password, or has no such image",
        ),
        (
            "reading manifest latest: toomanyrequests: You have reached your pull rate limit.",
            ImageError,
            "docker.io answers no more for now",
        ),
        (
            "manifest unknown: OCI index found, but accept header does not support it",
            NotFound,
            "no such image",
        ),
        ("writing blob: write /x/oci-put-blob1: no space left on device", StorageError, "the disk is full"),
        ("open /x/blobs: permission denied", ImageError, "y: open /x/blobs: permission denied"),
        ("remote error: tls: handshake failure", ImageError, "no TLS connection to docker.io can be made"),
        (
            "x509: certificate has expired or is not yet valid",
            ImageError,
            "certificate of docker.io is not trusted",
        ),
        ("Get https://x: net/http: TLS handshake timeout", ImageError, "cannot be reached"),
        ("reading blob: unexpected EOF", ImageError, "the connection to docker.io was cut"),
        ("something new", ImageError, "y: something new"),
    ],
)
def test_what_it_means(said: str, kind: type[Exception], words: str) -> None:
    error = explain(f'time="2026-01-01T00:00:00Z" level=fatal msg="{said}"\n', "y", HUB)
    assert type(error) is kind
    assert words in str(error)
    assert "\n" not in str(error)
    assert "docker://" not in str(error)


def test_without_a_word() -> None:
    assert str(explain("", "y", HUB)) == "y: skopeo failed without a word"
    assert str(explain("panic: odd\ngoroutine 1\n", "y", HUB)) == "y: panic: odd / goroutine 1 /"
