"""Frames: how messages and data are cut out of a byte stream. Bytes in, frames out; no I/O.

A frame is a nine-byte header (payload length u32, kind u8, stream u32, all big-endian), the payload, and one zero
byte. The zero byte lets a receiver tell a frame's end from the beginning of a resynchronisation marker, which
contains none (see `sandtop.agent.wire.handshake`); it also shows a receiver that lost its place.

``docs/protocol.md`` describes what travels in them.

A control frame's payload is JSON. It is read and written by `_json`, the C part of the standard library's `json`, which
does all that a well-formed message needs. `json` itself is imported only for what `_json` refuses, to handle or to
report it. It imports `re` and a dozen modules more, which takes 8 ms for each command, and more in an emulated guest.
This is not a module of its own because each module that a command imports takes time, too.
"""

from __future__ import annotations

from _struct import Struct  # the module struct would be one more file to find and read

from .limits import MAX_DATA, MAX_OFFSET, MAX_PAYLOAD

TYPE_CHECKING = False  # typing and dataclasses take a tenth of a second to import in an emulated guest
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any, Final, TypeGuard

_HEADER: Final = Struct("!IBI")
_OFFSET: Final = Struct("!Q")
_CREDIT: Final = Struct("!QQ")
_TRAILER: Final = b"\0"
_CONTROL, _DATA, _CREDIT_KIND, _EOF = 1, 2, 3, 4
_COMMA: Final = ","
_COLON: Final = ":"


class ProtocolError(Exception):
    """The peer sent what this protocol does not allow, so the link must be closed. Decoding raises no other error."""


class _Record:
    """Gives frames equality, a hash and a representation, by the values of their slots. Frames are immutable."""

    __slots__ = ()
    __match_args__: tuple[str, ...] = ()

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__match_args__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Record) and type(other) is type(self) and other._values() == self._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self._values()!r}"


class Control(_Record):
    """A JSON object; its ``type`` names the message."""

    __slots__ = ("message",)
    __match_args__ = ("message",)

    def __init__(self, message: dict[str, object]) -> None:
        self.message = message


class Data(_Record):
    """Bytes of ``stream`` that begin at ``offset`` of everything that stream ever carried."""

    __slots__ = ("data", "offset", "stream")
    __match_args__ = ("stream", "offset", "data")

    def __init__(self, stream: int, offset: int, data: bytes) -> None:
        self.stream = stream
        self.offset = offset
        self.data = data


class Credit(_Record):
    """The receiver of ``stream`` has stored all bytes before ``acked``, and takes bytes up to the offset ``limit``."""

    __slots__ = ("acked", "limit", "stream")
    __match_args__ = ("stream", "acked", "limit")

    def __init__(self, stream: int, acked: int, limit: int) -> None:
        self.stream = stream
        self.acked = acked
        self.limit = limit


class Eof(_Record):
    """``stream`` ends at ``offset``, which is the number of bytes that it carried."""

    __slots__ = ("offset", "stream")
    __match_args__ = ("stream", "offset")

    def __init__(self, stream: int, offset: int) -> None:
        self.stream = stream
        self.offset = offset


Frame = Control | Data | Credit | Eof


def _json_encode(value: object) -> str:
    import json

    return json.JSONEncoder(separators=(_COMMA, _COLON)).encode(value)


def _json_decode(text: str) -> object:
    import json

    return json.JSONDecoder().decode(text)


class _Settings:
    """The settings of a `json.JSONDecoder` that is made without arguments, for the scanner in `_json`."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}.__getitem__


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is not JSON")


def _accelerated() -> tuple[Callable[[object], str], Callable[[str], object]]:
    """``to_json`` and ``from_json``. Raises when this Python's `_json` is not there, or is made in another way."""
    from _json import encode_basestring_ascii, make_encoder, make_scanner

    # without the dict that finds circular references the encoder has no state, and is made once; `json` finds circles
    chunks = make_encoder(None, _refuse, encode_basestring_ascii, None, _COLON, _COMMA, False, False, True)
    settings: Any = _Settings
    scan = make_scanner(settings)

    def encode(value: object) -> str:
        try:
            return "".join(chunks(value, 0))
        except (TypeError, ValueError, RecursionError):
            return _json_encode(value)

    def decode(text: str) -> object:
        try:
            value, end = scan(text, 0)
        # Python 3.11 takes JSONDecodeError from sys.modules and, when `json` is not there, has no error to raise
        except (StopIteration, ValueError, RecursionError, SystemError):
            return _json_decode(text)
        return value if end == len(text) else _json_decode(text)

    return encode, decode


try:
    to_json, from_json = _accelerated()
except (ImportError, AttributeError, TypeError):
    to_json, from_json = _json_encode, _json_decode
"""``to_json(value)`` is the value's JSON text, without spaces and in ASCII; ``from_json(text)`` the text's value."""


def data_header(stream: int, offset: int, length: int) -> bytes:
    """The bytes of a data frame before its ``length`` data bytes; `TRAILER` follows them. Saves copying the data."""
    return _HEADER.pack(length + 8, _DATA, stream) + _OFFSET.pack(offset)


def split(stream: int, offset: int, data: bytes) -> list[Data]:
    """The frames that carry ``data``, of any length, which begins at ``offset``."""
    starts = range(0, len(data), MAX_DATA)
    return [Data(stream, offset + start, data[start : start + MAX_DATA]) for start in starts]


TRAILER: Final = _TRAILER


def encode(frame: Frame) -> bytes:
    """The bytes of ``frame``. Raises ProtocolError when it is larger than a frame may be."""
    if isinstance(frame, Data):
        if len(frame.data) > MAX_DATA:
            raise ProtocolError(f"{len(frame.data)} data bytes do not fit a frame")
        return data_header(frame.stream, frame.offset, len(frame.data)) + frame.data + _TRAILER
    if isinstance(frame, Control):
        payload = to_json(frame.message).encode("ascii")
        if len(payload) > MAX_PAYLOAD:
            raise ProtocolError(f"a control message of {len(payload)} bytes does not fit a frame")
        return _HEADER.pack(len(payload), _CONTROL, 0) + payload + _TRAILER
    if isinstance(frame, Credit):
        return (
            _HEADER.pack(16, _CREDIT_KIND, frame.stream) + _CREDIT.pack(frame.acked, frame.limit) + _TRAILER
        )
    return _HEADER.pack(8, _EOF, frame.stream) + _OFFSET.pack(frame.offset) + _TRAILER


def _is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)  # a JSON object's keys are strings


def control(payload: bytes, max_values: int | None = None) -> Control:
    """The message whose JSON text is ``payload``. Raises ProtocolError when it is not a JSON object."""
    # each of these characters stands before a value; those inside of strings are counted, too
    if max_values is not None and sum(map(payload.count, (b",", b"[", b"{"))) > max_values:
        raise ProtocolError(f"a control message of more than {max_values} values")
    try:
        message: object = from_json(payload.decode())
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a control message that is not JSON") from error
    if not _is_object(message):
        raise ProtocolError("a control message that is not a JSON object")
    if not isinstance(message.get("type"), str):
        raise ProtocolError("a control message without a type")
    return Control(message)


def _offset(value: int) -> int:
    if value > MAX_OFFSET:
        raise ProtocolError("an offset that no stream can reach")
    return value


def _decode(kind: int, stream: int, payload: memoryview, max_values: int | None) -> Frame:
    length = len(payload)
    if kind == _DATA and 8 <= length <= MAX_DATA + 8:
        return Data(stream, _offset(_OFFSET.unpack_from(payload)[0]), bytes(payload[8:]))
    if kind == _CONTROL and stream == 0:
        return control(bytes(payload), max_values)
    if kind == _CREDIT_KIND and length == 16:
        acked, limit = _CREDIT.unpack(payload)
        if acked > limit:
            raise ProtocolError("a credit that ends before it begins")
        return Credit(stream, _offset(acked), _offset(limit))
    if kind == _EOF and length == 8:
        return Eof(stream, _offset(_OFFSET.unpack(payload)[0]))
    raise ProtocolError(f"a frame of kind {kind} with {length} bytes on stream {stream}")


class Decoder:
    """Turns bytes, split anywhere, into frames. Between calls it keeps at most the bytes of one incomplete frame.

    Attributes:
        max_control: bytes that a control message may have.
        max_values: about how many JSON values it may have; None: as many as fit into those bytes, which for a MiB take
            up to 60 ms to decode.
    """

    __slots__ = ("_buffer", "max_control", "max_values")

    def __init__(self, max_control: int = MAX_PAYLOAD, max_values: int | None = None) -> None:
        self._buffer = bytearray()
        self.max_control = max_control
        self.max_values = max_values

    @property
    def buffered(self) -> int:
        """How many bytes of an unfinished frame are held."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete with ``data``. Raises ProtocolError; the decoder is of no use after that."""
        return list(self.frames(data))

    def frames(self, data: bytes) -> Generator[Frame, None, None]:
        """As `feed`, but each frame is decoded only when it is asked for. To be exhausted before the next call."""
        buffer = self._buffer
        buffer += data
        position, available, header = 0, len(buffer), _HEADER.size
        with memoryview(buffer) as view:
            while available - position >= header:
                length, kind, stream = _HEADER.unpack_from(view, position)
                if length > MAX_PAYLOAD:
                    raise ProtocolError(f"a frame of {length} bytes is larger than {MAX_PAYLOAD}")
                if kind == _CONTROL and length > self.max_control:
                    raise ProtocolError(f"a control message of {length} bytes, more than {self.max_control}")
                end = position + header + length
                if available <= end:
                    break
                if view[end]:
                    raise ProtocolError("a frame that does not end where it says")
                frame = _decode(kind, stream, view[position + header : end], self.max_values)
                position = end + 1
                yield frame
        if position:
            del buffer[:position]
