"""Inputs out of other inputs: bytes cut, doubled, spliced and changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

MAX_INPUT: Final = 1 << 20
"""Bytes; what grows beyond is cut."""
_ODD: Final = (
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"-1",
    b"9" * 20,
    b"NaN",
    b"\xff" * 8,
    b"\0" * 8,
    b"\x1b",
    b"\n",
)


def mutated(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """``data`` with one to eight changes, some of which take a part of one of ``others``."""
    value = bytearray(data)
    for _ in range(1 << rng.randrange(4)):
        at = rng.randint(0, len(value))
        end = min(len(value), at + _length(rng))
        match rng.randrange(7):
            case 0:
                value[at:end] = b""
            case 1:
                value[at:at] = value[at:end] * rng.choice((1, 2, 8, 64))
            case 2:
                other = rng.choice(others)
                start = rng.randint(0, len(other))
                value[at:end] = other[start : start + _length(rng)]
            case 3:
                value[at:at] = rng.choice(_ODD)
            case 4:
                value[at:end] = rng.choice(_ODD)
            case 5 if at < len(value):
                value[at] ^= 1 << rng.randrange(8)
            case _ if at < len(value):
                value[at] = rng.randrange(256)
            case _:
                value.append(rng.randrange(256))
        del value[MAX_INPUT:]
    return bytes(value)


def _length(rng: random.Random) -> int:
    return rng.randrange(1 << rng.choice((1, 3, 6, 10, 14)))
