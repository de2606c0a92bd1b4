"""Whom programs of the sandbox trust in TLS: what its image has, and the authority of its core, if that has one."""

from __future__ import annotations

import os

from .replacing import replace
from .users import read_small_file
from .wire import CA_BUNDLE, CA_FILE, values

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

_MOST: Final = 16 * 1024
_MOST_BUNDLE: Final = 4 * 1024 * 1024
_OTHERS: Final = ("/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem")
"""What other distributions have in place of `CA_BUNDLE`."""


def trusted(message: Mapping[str, object]) -> str | None:
    """The certificate in a ``configure``. Raises InvalidMessage."""
    certificate = values.optional_text(message, "trust")
    if certificate is not None and len(certificate) > _MOST:
        raise values.InvalidMessage(f"trust must be at most {_MOST} characters")
    return certificate


def trust(certificate: str, root: str) -> list[str]:
    """Have the programs below ``root`` trust ``certificate``; what could not be written, a sentence for each."""
    own, bundle, *others = (os.path.join(root, path.lstrip("/")) for path in (CA_FILE, CA_BUNDLE, *_OTHERS))
    files = {own: certificate}
    before = read_small_file(bundle, _MOST_BUNDLE)
    if certificate not in before:
        texts = (read_small_file(path, _MOST_BUNDLE) for path in others)
        before = before or next((text for text in texts if text), "")
        files[bundle] = before + ("" if not before or before.endswith("\n") else "\n") + certificate
    warnings: list[str] = []
    for path, text in files.items():
        try:
            if read_small_file(path, _MOST_BUNDLE) != text:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                replace(path, text)
        except OSError as error:
            warnings.append(f"{path} could not be written: {error.strerror}")
    return warnings
