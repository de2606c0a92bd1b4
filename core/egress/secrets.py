"""What a sandbox's secrets are, and their values: in the memory of this core alone, or in a file of the user's."""

from __future__ import annotations

import os
import re
import secrets
import stat
from typing import TYPE_CHECKING, Final

from sandtop.agent.wire import CA_BUNDLE, CA_FILE
from sandtop.core.egress.rules import parse
from sandtop.core.errors import InvalidRequest
from sandtop.core.store import SecretRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sandtop.core.contract.secret import GivenSecret

LEAST, MOST = 8, 4096
"""Bytes of a value. What is shorter is found by chance in what a host answers, and could not be masked there."""
MOST_SECRETS: Final = 64
"""Secrets that one sandbox may have."""
TLS_PORT: Final = 443
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
_VALUE: Final = re.compile(rb"[!-~](?:[ -~]*[!-~])?\Z")
_EXAMPLE: Final = "such as API=env:TOKEN@api.example.com or API=file:token.txt@api.example.com"
TRUST: Final = {
    "SSL_CERT_FILE": CA_BUNDLE,
    "CURL_CA_BUNDLE": CA_BUNDLE,
    "REQUESTS_CA_BUNDLE": CA_BUNDLE,
    "GIT_SSL_CAINFO": CA_BUNDLE,
    "PIP_CERT": CA_BUNDLE,
    "AWS_CA_BUNDLE": CA_BUNDLE,
    "NODE_EXTRA_CA_CERTS": CA_FILE,
    "DENO_CERT": CA_FILE,
}
"""Variables that lead a sandbox's programs to the certificates that its agent writes for secrets (`agent/trust.py`)."""


class Unknown(Exception):
    """The value of a secret is not to be had. ``str()`` says which, and why."""


def rows_of(given: Iterable[GivenSecret], sandbox: str) -> tuple[SecretRow, ...]:
    """What is stored of ``given``, each with a placeholder of its own; values and files are seen to be good before.

    Raises `InvalidRequest`.
    """
    found: dict[str, SecretRow] = {}
    for each in given:
        row = _row(each, sandbox)
        if row.name in found:
            raise _wrong(row.name, sandbox, "is given twice")
        _check_value(each, sandbox)
        found[row.name] = row
    if len(found) > MOST_SECRETS:
        raise InvalidRequest(
            f"{len(found)} secrets are too many for {sandbox}: at most {MOST_SECRETS}", sandbox=sandbox
        )
    return tuple(found.values())


def _row(given: GivenSecret, sandbox: str) -> SecretRow:
    if not _NAME.match(given.name):
        raise _wrong(given.name, sandbox, "has no name of an environment variable")
    try:
        rule = parse(given.host)
    except InvalidRequest as error:
        raise _wrong(given.name, sandbox, f"is for no host: {error.message}") from None
    if rule.name is None or "*" in rule.name:
        raise _wrong(given.name, sandbox, f"is for no single host, by its name: {given.host!r:.80}")
    if (given.value is None) == (given.file is None):
        raise _wrong(given.name, sandbox, "has to have a value or a file, one of both")
    if given.file is not None and not given.file.startswith("/"):
        raise _wrong(given.name, sandbox, f"has a file that is no absolute path: {given.file!r:.80}")
    placeholder = f"sandtop-{secrets.token_hex(16)}"
    return SecretRow(given.name, rule.name, rule.port or TLS_PORT, placeholder, given.file)


def _check_value(given: GivenSecret, sandbox: str) -> None:
    try:
        if given.file is not None:
            _in_file(given.file)
        else:
            _good((given.value or "").encode())
    except ValueError as error:
        raise _wrong(given.name, sandbox, str(error)) from None


def values_of(given: Iterable[GivenSecret]) -> dict[str, bytes]:
    """The values among ``given`` that are in no file, by name, as they are: `rows_of` checks them."""
    return {each.name: each.value.encode() for each in given if each.value is not None}


def _wrong(name: str, sandbox: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"the secret {name[:80]!r} of {sandbox} {why}", sandbox=sandbox, hint=_EXAMPLE)


def _good(value: bytes) -> bytes:
    """``value``, when it can be one. Raises ValueError, which does not show it."""
    if not value:
        raise ValueError("has an empty value")
    if b"\n" in value or b"\r" in value:
        raise ValueError("has a value with a line break in it")
    if not LEAST <= len(value) <= MOST:
        raise ValueError(f"has a value of {len(value):,} bytes: {LEAST} to {MOST:,} are possible")
    if not _VALUE.match(value):
        raise ValueError(
            "has a value with other than visible characters of ASCII, or a space at an end of it"
        )
    return value


def _in_file(path: str) -> bytes:
    """The value in the file ``path``, whose last line may have an end. Raises ValueError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise ValueError(f"has a file that is no plain file: {path}")
            text = file.read(MOST + 3)
    except OSError as error:
        raise ValueError(f"has a file that cannot be read: {path}: {error.strerror}") from None
    return _good(text.removesuffix(b"\n").removesuffix(b"\r"))


class Vault:
    """The secrets of one sandbox, whose rows are ``rows`` at each time; and the values that this core was given."""

    def __init__(self, rows: Callable[[], Sequence[SecretRow]]) -> None:
        self._rows = rows
        self._given: dict[str, bytes] = {}

    def give(self, values: Mapping[str, bytes]) -> None:
        """Have these values from now on, by name."""
        self._given.update(values)

    def known(self, row: SecretRow) -> bool:
        return row.file is not None or row.name in self._given

    @property
    def unknown(self) -> list[str]:
        """The names of those that have to be given again."""
        return [row.name for row in self._rows() if not self.known(row)]

    def of(self, host: str, port: int) -> list[SecretRow]:
        """The secrets whose values ``host`` gets on ``port``."""
        return [row for row in self._rows() if (row.host, row.port) == (host, port)]

    def values(self, rows: Iterable[SecretRow]) -> dict[bytes, bytes]:
        """The value of each by its placeholder. Reads files. Raises `Unknown`."""
        found: dict[bytes, bytes] = {}
        for row in rows:
            try:
                value = _in_file(row.file) if row.file is not None else self._given.get(row.name)
            except ValueError as error:
                raise Unknown(f"the secret {row.name} {error}") from None
            if value is None:
                raise Unknown(
                    f"the value of the secret {row.name} was given to an earlier core, and has to be given again: "
                    f"'sandtop net … secret {row.name}=…'"
                )
            found[row.placeholder.encode()] = value
        return found
