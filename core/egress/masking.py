"""The value of a secret in place of its placeholder in what is sent, and asterisks in its place in what comes back."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_CREDENTIALS: Final = (b"authorization", b"proxy-authorization")
_BASIC: Final = b"basic "  # RFC 7617
MOST_PLACES: Final = 16
"""Placeholders in one request: each may become 4 KiB."""
_MOST_FORMS: Final = 64


class TooMany(Exception):
    """A request has more than `MOST_PLACES` placeholders."""


class Filler:
    """Puts the values of secrets into requests; ``values`` has the value of each placeholder.

    Attributes:
        used: the placeholders that were found so far.
        forms: what has to be masked: the values, and credentials that have one in them, as they were sent.
    """

    def __init__(self, values: Mapping[bytes, bytes]) -> None:
        self._values = values
        self.used: set[bytes] = set()
        self.forms: list[bytes] = list(values.values())

    def headers(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """The ``headers`` of one request with values for placeholders; names are in lower case. Raises `TooMany`."""
        left = MOST_PLACES
        found: list[tuple[bytes, bytes]] = []
        for name, value in headers:
            filled, times = self._filled(name, value)
            if (left := left - times) < 0:
                raise TooMany
            found.append((name, filled))
        return found

    def _filled(self, name: bytes, value: bytes) -> tuple[bytes, int]:
        if name in _CREDENTIALS and value[: len(_BASIC)].lower() == _BASIC:
            try:
                plain = b64decode(value[len(_BASIC) :].strip(), validate=True)
            except binascii.Error:
                plain = b""
            replaced, times = self._replaced(plain)
            if times:
                encoded = b64encode(replaced)
                if encoded not in self.forms:
                    self.forms = [*self.forms, encoded][-_MOST_FORMS:]
                return b"Basic " + encoded, times
        return self._replaced(value)

    def _replaced(self, text: bytes) -> tuple[bytes, int]:
        times = 0
        for placeholder, value in self._values.items():
            if found := text.count(placeholder):
                if (times := times + found) > MOST_PLACES:
                    raise TooMany
                self.used.add(placeholder)
                text = text.replace(placeholder, value)
        return text, times


def masked(text: bytes, forms: Iterable[bytes]) -> bytes:
    """``text`` with as many asterisks in the place of each of ``forms``."""
    for form in forms:
        text = text.replace(form, b"*" * len(form))
    return text


class Masker:
    """`masked`, for a body that comes in pieces. What may be the beginning of a form is held back, and no more."""

    def __init__(self, forms: Iterable[bytes]) -> None:
        self._forms = sorted(forms, key=len, reverse=True)
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What can be passed on with the next piece, ``data``."""
        text = masked(self._held + data, self._forms)
        keep = max((_begun(text, form) for form in self._forms), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def rest(self) -> bytes:
        """At the end: what was held back."""
        held, self._held = self._held, b""
        return held


def _begun(text: bytes, form: bytes) -> int:
    """How many bytes at the end of ``text`` are the beginning of ``form``, less than all of it."""
    at = max(0, len(text) - len(form) + 1)
    while (at := text.find(form[:1], at)) >= 0:
        if form.startswith(text[at:]):
            return len(text) - at
        at += 1
    return 0
