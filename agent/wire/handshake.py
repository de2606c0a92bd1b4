"""The handshake that begins a link on a channel that has no connections.

After the host has closed a virtio-serial port and opened it again, the rest of a half-read frame still comes out of it,
in both directions, and bytes that were in flight are lost. So the host begins by sending a marker: a fixed word, the
machine's token and a fresh nonce. The agent finds it among any other bytes, forgets everything before it, and answers
with the nonce. The host drops everything before that answer. What follows, in both directions, is frames.

The token is a secret of this host and this agent, so that no data that a program sends can contain the marker. An agent
that has no token yet takes that of the first marker. A marker contains no zero byte, and every frame ends with one. So
the agent can hold back bytes that may begin a marker, and never holds back a complete frame.

A channel that has connections (vsock) begins each of them with a marker, and nothing comes before it. There the agent
takes no token from a marker: others than the core can reach it.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see frames.py
if TYPE_CHECKING:
    from typing import Final

_SYNC: Final = b"\xffSANDTOP-SYNC-1\xff"
_ANSWER: Final = b"\xffSANDTOP-HERE-1\xff"
TOKEN_LENGTH: Final = 32
"""Token and nonce are this many lower-case hexadecimal digits."""
_DIGITS: Final = b"0123456789abcdef"
MARKER_LENGTH: Final = len(_SYNC) + 2 * TOKEN_LENGTH
_ANSWER_LENGTH: Final = len(_ANSWER) + TOKEN_LENGTH


def marker(token: str, nonce: str) -> bytes:
    """What the host sends first on a new link."""
    return _SYNC + _checked(token) + _checked(nonce)


def answer(nonce: bytes) -> bytes:
    """What the agent sends first on a new link."""
    return _ANSWER + nonce


def _is_token(raw: bytes) -> bool:
    return len(raw) == TOKEN_LENGTH and not raw.translate(None, _DIGITS)


def _checked(value: str) -> bytes:
    raw = value.encode("ascii")
    if not _is_token(raw):
        raise ValueError(f"not {TOKEN_LENGTH} hexadecimal digits: {value!r}")
    return raw


def nonce_of(data: bytes, token: bytes | None) -> bytes | None:
    """The nonce of the marker that ``data``, as long as one, is; None when it is none or its token is not ``token``.

    The time that it takes does not depend on how much of the token is right.
    """
    # what hmac.compare_digest is; hmac itself imports OpenSSL
    from _operator import _compare_digest as compare_digest  # pyright: ignore[reportPrivateUsage]

    right = compare_digest(data[: -2 * TOKEN_LENGTH], _SYNC)
    right &= compare_digest(data[-2 * TOKEN_LENGTH : -TOKEN_LENGTH], token or b"")
    nonce = data[-TOKEN_LENGTH:]
    right &= _is_token(nonce)
    return nonce if right and token else None


class HostHandshake:
    """The host's side: drops all bytes until the answer with its nonce has come."""

    __slots__ = ("_expected", "_tail", "dropped")

    def __init__(self, nonce: str) -> None:
        self._expected = answer(_checked(nonce))
        self._tail = b""
        self.dropped = 0

    def feed(self, data: bytes) -> bytes | None:
        """None until the answer is complete; then the bytes behind it, the first of the link."""
        window = self._tail + data
        found = window.find(self._expected)
        if found < 0:
            self._tail = window[-(_ANSWER_LENGTH - 1) :]
            self.dropped += len(window) - len(self._tail)
            return None
        self.dropped += found
        return window[found + _ANSWER_LENGTH :]


class AgentHandshake:
    """The agent's side: watches all that arrives for a marker.

    Attributes:
        token: the token that a marker must have; None before the first one, whose token is taken.
    """

    __slots__ = ("_held", "token")

    def __init__(self, token: bytes | None = None) -> None:
        self.token = token
        self._held: bytes = b""

    def feed(self, data: bytes) -> tuple[bytes | None, bytes]:
        """``(nonce, link bytes)``: the nonce of the last marker in ``data``, or None when there was none.

        With a nonce, a new link begins: forget the old one, send `answer`, and take the bytes as its first. Bytes
        that may begin a marker are held back and come out, or not, with a later call.
        """
        if self._held:
            data = self._held + data
            self._held = b""
        nonce: bytes | None = None
        search = 0
        while (found := data.find(self._prefix(), search)) >= 0:
            end = found + MARKER_LENGTH
            if len(data) < end:
                break
            token, fresh = data[end - 2 * TOKEN_LENGTH : end - TOKEN_LENGTH], data[end - TOKEN_LENGTH : end]
            if _is_token(token) and _is_token(fresh):
                self.token, nonce, data, search = token, fresh, data[end:], 0
            else:
                search = found + 1
        held = self._held_back(data)
        if held:
            self._held = data[-held:]
            data = data[:-held]
        return nonce, data

    def _prefix(self) -> bytes:
        return _SYNC if self.token is None else _SYNC + self.token

    def _held_back(self, data: bytes) -> int:
        """How many bytes at the end of ``data`` may be the beginning of a marker."""
        start = max(0, len(data) - MARKER_LENGTH + 1)
        prefix = self._prefix()
        while (start := data.find(_SYNC[:1], start)) >= 0:
            candidate = data[start:]
            # no marker has a zero byte in it, which ends every frame; but one may begin behind such a byte
            if (candidate.startswith(prefix) or prefix.startswith(candidate)) and b"\0" not in candidate:
                return len(candidate)
            start += 1
        return 0
