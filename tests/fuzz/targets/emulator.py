"""The terminal emulator: what programs write, on screens of any size, cut anywhere. By cost as well as by errors.

An input is a size, a size to change to, a seed for cuts, and a stream. The stream is fed whole, in pieces and again
from a dump: all must come to the same screen. And no stream may cost more than `TIMES` what plain text does, byte for
byte, on this machine in this run, however small it is: it is repeated to be measured.
"""

from __future__ import annotations

import random
import time
from functools import cache
from typing import TYPE_CHECKING, Final

from tests.core.terminal.compare import again, differing
from tests.fuzz.target import Budget, Dear

from sandtop.core.terminal import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TIMES: Final = 100
"""What docs/terminal.md promises, for screens of up to …"""
_COLUMNS: Final = 1000
"""… so many columns; beyond, in proportion: to write to a blank row is to make all its cells."""
_MEASURED: Final = 2048
"""Bytes that a stream is repeated to."""
_SMALL: Final = ((1, 1), (2, 1), (1, 7), (3, 4), (10, 3), (20, 5), (80, 24))
_LARGE: Final = ((200, 50), (500, 100), (1000, 250), (2000, 125), (1, 2000), (2000, 1))
_HEAD: Final = 4
_SCROLLBACK: Final = 50
_NUMBERS: Final = ("", "", "0", "1", "2", "3", "9", "24", "79", "80", "255", "999", "9999", "65536", "9" * 30)
_FINALS: Final = "@ABCDEFGHIJKLMPQRSTXZ^`abcdefghijlmnpqrstuvwxyz{|}~"
_MODES: Final = (
    1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 20, 25, 40, 45, 47, 66, 69, 95, 1000, 1002, 1003, 1004, 1005, 1006, 1007, 1015,
    1047, 1048, 1049, 2004, 2026, 2027, 2048,
)  # fmt: skip
_ESCAPES: Final = (
    "7", "8", "D", "E", "H", "M", "N", "O", "Z", "c", "=", ">", "n", "o", "(0", "(A", "(B", ")0", "*0", "+B", "#8",
    "#3", "#6", "%G", "%@", " F", "[!p", "[3g", "[0g", "[2 q", '["q', "[?6n", "[6n", "[c", "[>c", "[=c", "[>q",
    "[18t", "[22t", "[23t", "[?u", "[>1u", "[<9u", "[?2026$p", "[4$p", "[1;1;2;2$z", "[1;2;3;4;5;6$v",
)  # fmt: skip
_RANGES: Final = (
    (0x20, 0x7F), (0xA0, 0x180), (0x300, 0x370), (0x600, 0x780), (0x900, 0xE80), (0x1100, 0x1200), (0x1F00, 0x2000),
    (0x200B, 0x2070), (0x2300, 0x2800), (0x3000, 0x3400), (0x4E00, 0x9FFF), (0xA960, 0xA980), (0xD7B0, 0xD800),
    (0xFE00, 0xFE10), (0xFE20, 0xFE30), (0x1F1E6, 0x1F200), (0x1F300, 0x1F650), (0x1F3FB, 0x1F400),
    (0x1F900, 0x1FA00), (0x20000, 0x2A000), (0xE0000, 0xE01F0),
)  # fmt: skip


def _run(rng: random.Random) -> str:
    low, high = rng.choice(_RANGES)
    return "".join(chr(rng.randrange(low, high)) for _ in range(rng.choice((1, 1, 2, 5, 20))))


def _text(rng: random.Random) -> str:
    return rng.choice(
        ("a", "xy", "hello world ", "中", "é", "e\u0301", "\U0001f469\u200d\U0001f469", "\t", "x" * 90)
    )


def _control(rng: random.Random) -> str:
    return rng.choice(
        ("\r\n", "\n", "\r", "\b", "\t", "\x07", "\x0b", "\x0e", "\x0f", "\0", "\x18", "\x7f", "\x85")
    )


def _parameters(rng: random.Random) -> str:
    count = rng.choice((0, 1, 1, 1, 2, 2, 3, 8, 40, 700))
    return rng.choice((";", ";", ";", ":")).join(rng.choice(_NUMBERS) for _ in range(count))


def _csi(rng: random.Random) -> str:
    prefix, between = (
        rng.choice(("", "", "", "?", ">", "=", "<")),
        rng.choice(("", "", "", " ", "$", "!", "\n", '"')),
    )
    return f"\x1b[{prefix}{_parameters(rng)}{between}{rng.choice(_FINALS)}"


def _sgr(rng: random.Random) -> str:
    if rng.random() < 0.5:
        red, green, blue = (rng.randrange(256) for _ in range(3))
        return f"\x1b[{rng.choice((38, 48, 58))};2;{red};{green};{blue}m"
    return f"\x1b[{';'.join(str(rng.randrange(110)) for _ in range(rng.choice((0, 1, 2, 5, 300))))}m"


def _mode(rng: random.Random) -> str:
    modes = ";".join(str(rng.choice(_MODES)) for _ in range(rng.choice((1, 1, 1, 3, 32))))
    return f"\x1b[{rng.choice('??? ').strip()}{modes}{rng.choice('hl')}"


def _escape(rng: random.Random) -> str:
    return "\x1b" + rng.choice(_ESCAPES)


def _string(rng: random.Random) -> str:
    what = rng.choice((
        f"]8;id={rng.randrange(9)};http://{rng.randrange(99)}{'x' * rng.choice((0, 20, 2000))}", "]8;;",
        f"]{rng.choice((0, 1, 2))};{'t' * rng.choice((0, 5, 1000, 4090))}", "]11;?", "]52;c;?",
        "P1$qm", "_G", "^x", "Xy",
    ))  # fmt: skip
    return f"\x1b{what}{rng.choice((chr(7), chr(27) + chr(92), chr(0x9C), '', chr(0x18)))}"


def _repeat(rng: random.Random) -> str:
    return f"{rng.choice((_text, _run))(rng)}\x1b[{rng.choice(_NUMBERS)}b"


_PARTS: Final[Sequence[Callable[[random.Random], str]]] = (
    _run, _text, _text, _control, _csi, _csi, _csi, _sgr, _mode, _escape, _string, _repeat,
)  # fmt: skip


class _Emulator:
    budget = Budget(cpu=3.0, cpu_per_kib=0.2, memory=128 << 20, hang=60.0)
    seeds = (b"\x05\x06\x00\x00a\x1b[9999b", b"\x08\x03\x01\x00\x1b[2J\x1b#8\x1b[9999S")
    mutate = True

    def generate(self, rng: random.Random) -> bytes:
        head = bytes(rng.randrange(256) for _ in range(_HEAD))
        unit = "".join(rng.choice(_PARTS)(rng) for _ in range(rng.choice((1, 2, 3, 5, 60))))
        data = (unit * rng.choice((1, 1, 2, 30)))[:20_000].encode("utf-8", "replace")
        if rng.random() < 0.1:
            data = bytes(rng.randrange(256) if rng.random() < 0.02 else byte for byte in data)
        return head + data

    def run(self, data: bytes) -> None:
        head, stream = data[:_HEAD].ljust(_HEAD, b"\0"), data[_HEAD : _HEAD + 40_000]
        sizes = (*_SMALL, *_LARGE)
        size, other = sizes[head[0] % len(sizes)], sizes[head[1] % len(sizes)]
        if stream:
            _within_cost(size, stream)
        if size in _SMALL:
            _same_however_it_comes(size, other, stream, random.Random(head[2:]))


TARGET: Final = _Emulator()


def _within_cost(size: tuple[int, int], stream: bytes) -> None:
    """Raises `Dear` when the stream costs too much, each of three times."""
    repeated = stream * (_MEASURED // len(stream) + 1)
    most = TIMES * max(1, size[0] / _COLUMNS)
    allowed = most * plain() * len(repeated)
    took = [_seconds(size, repeated)]
    while took[-1] > allowed and len(took) < 3:
        took.append(_seconds(size, repeated))
    times = most * min(took) / allowed
    if times > most:
        raise Dear(f"a byte costs {times:.0f} times what one of plain text does, on {size}")


def _seconds(size: tuple[int, int], data: bytes) -> float:
    emulator = Emulator(*size, 2000)
    began = time.thread_time()
    emulator.feed(data)
    return time.thread_time() - began


@cache
def plain() -> float:
    """Seconds that a byte of plain text takes, drawn on 80 × 24."""
    text = b"hello world, this is plain text. " * 2000
    times: list[float] = []
    for _ in range(5):
        emulator = Emulator(80, 24, 2000)
        began = time.thread_time()
        emulator.feed(text)
        times.append((time.thread_time() - began) / len(text))
    return sorted(times)[2]


def _same_however_it_comes(
    size: tuple[int, int], other: tuple[int, int], stream: bytes, cuts: random.Random
) -> None:
    whole, pieces = Emulator(*size, _SCROLLBACK), Emulator(*size, _SCROLLBACK)
    whole.feed(stream)
    at = 0
    while at < len(stream):
        at += pieces.feed(stream[at : at + cuts.choice((1, 2, 7, 100, 5000))], cuts.choice((None, 0.0)))
        if cuts.random() < 0.01:
            pieces = again(pieces, _SCROLLBACK)
            pieces.take_replies()
    assert differing(whole, pieces) == [], "cut in pieces it is not the same"
    if other in _SMALL:
        whole.resize(*other)
        pieces.resize(*other)
        assert differing(whole, pieces) == [], "in another size it is not the same"
    assert differing(whole, again(whole, _SCROLLBACK)) == [], "a dump does not make the same"
