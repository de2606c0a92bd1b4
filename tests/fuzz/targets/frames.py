"""The decoder of the agent's link, with whatever bytes a port may bring, cut anywhere."""

from __future__ import annotations

import json
import random
from typing import Final

from tests.fuzz.target import Budget

from sandtop.agent.wire import Control, Credit, Data, Decoder, ProtocolError, encode


class _Frames:
    budget: Final = Budget(cpu=0.2, cpu_per_kib=0.01, memory=64 << 20, hang=20.0)
    seeds: Final = (
        encode(Control({"type": "pong", "seq": 1}))
        + encode(Data(5, 0, b"abc"))
        + encode(Credit(4, 0, 65536)),
    )
    mutate: Final = True

    def generate(self, rng: random.Random) -> bytes:
        frames: list[bytes] = []
        for _ in range(rng.randrange(1, 20)):
            match rng.randrange(3):
                case 0:
                    frames.append(encode(Control(json.loads(_nested(rng)))))
                case 1:
                    offset = rng.choice((0, 1, 1 << 31, (1 << 63) - 1))
                    frames.append(
                        encode(Data(rng.randrange(1 << 16), offset, rng.randbytes(rng.randrange(99))))
                    )
                case _:
                    frames.append(
                        encode(Credit(rng.randrange(1 << 16), rng.randrange(99), rng.randrange(1 << 40)))
                    )
        return b"".join(frames)

    def run(self, data: bytes) -> None:
        rng = random.Random(len(data))
        whole, pieces = Decoder(), Decoder()
        try:
            expected = whole.feed(data)
        except ProtocolError:
            expected = None
        got: list[object] = []
        at = 0
        try:
            while at < len(data):
                step = rng.randrange(1, 4096)
                got += pieces.feed(data[at : at + step])
                at += step
        except ProtocolError:
            assert expected is None, "in pieces it is refused, as a whole it is not"
            return
        assert expected is None or got == expected, "pieces make other frames"


def _nested(rng: random.Random) -> str:
    depth = rng.choice((0, 1, 5, 20))
    return '{"type": "x", "value": ' + "[" * depth + "1" + "]" * depth + "}"


TARGET: Final = _Frames()
