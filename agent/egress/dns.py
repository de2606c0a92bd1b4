"""Questions and answers of the domain name system (RFC 1035), for a resolver that knows addresses only."""

from __future__ import annotations

from _struct import Struct

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from typing import Final

OK: Final = 0
FORMAT_ERROR: Final = 1
FAILED: Final = 2
NO_SUCH_NAME: Final = 3
NOT_IMPLEMENTED: Final = 4
A: Final = 1
_INTERNET: Final = 1
_HEADER: Final = Struct("!HHHHHH")
_ASKED: Final = Struct("!HH")
_RECORD: Final = Struct("!HHHIH4s")
_RESPONSE, _RECURSION_WANTED, _RECURSION_THERE = 0x8000, 0x0100, 0x0080
_POINTER_TO_QUESTION: Final = 0xC000 | _HEADER.size
MOST_BYTES: Final = 4096
"""The longest question; the socket cuts a longer one off, which then is none."""
_MOST_NAME: Final = 255
_LETTERS: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_")


class Question:
    """What one message asks.

    Attributes:
        name: in lower case, without the last dot; None when no host can have it.
        kind: the type of record, such as `A`.
        error: the code with which it has to be answered whatever the name; `OK` when there is none.
    """

    __slots__ = ("_flags", "_id", "_section", "error", "kind", "name")

    def __init__(self, packet: bytes) -> None:
        """Raises ValueError for what is no question at all, and must not be answered."""
        if len(packet) < _HEADER.size:
            raise ValueError("too short for a question")
        self._id, self._flags, questions, _, _, _ = _HEADER.unpack_from(packet)
        if self._flags & _RESPONSE:
            raise ValueError("an answer")
        self.name: str | None = None
        self.kind = 0
        self.error = OK
        self._section = b""
        if self._flags >> 11 & 15:
            self.error = NOT_IMPLEMENTED
        elif questions != 1 or not self._read(packet):
            self.error = FORMAT_ERROR

    def _read(self, packet: bytes) -> bool:
        labels: list[bytes] = []
        at = _HEADER.size
        while at < len(packet) and (length := packet[at]):
            if length > 63 or at + length >= len(packet) or at - _HEADER.size + length > _MOST_NAME:
                return False
            labels.append(packet[at + 1 : at + 1 + length].lower())
            at += 1 + length
        if at + 1 + _ASKED.size > len(packet):
            return False
        self.kind, of_class = _ASKED.unpack_from(packet, at + 1)
        self._section = packet[_HEADER.size : at + 1 + _ASKED.size]
        if labels and of_class == _INTERNET and all(_LETTERS.issuperset(label) for label in labels):
            self.name = b".".join(labels).decode("ascii")
        return True

    def answer(self, code: int, address: bytes | None = None, ttl: int = 0) -> bytes:
        """The answer: ``code``, and where that is `OK` the one ``address`` (four bytes), or no record of this kind."""
        flags = _RESPONSE | (self._flags & (_RECURSION_WANTED | 0x7800)) | _RECURSION_THERE | code
        found = b""
        if address is not None:
            found = _RECORD.pack(_POINTER_TO_QUESTION, A, _INTERNET, ttl, 4, address)
        return _HEADER.pack(self._id, flags, bool(self._section), bool(found), 0, 0) + self._section + found
