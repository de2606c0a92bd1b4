"""A core's end of a link, with the sessions behind it, against an agent that sends whatever it likes.

An input is what the agent sends on one link after the other; `CUT` ends one. Afterwards the same core, with the same
sessions, has to work with an agent that behaves, no turn of its loop may have been long, and each session has ended.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio
from tests.core.channel.scripted import UUID, ScriptedAgent, listening, run, running_core, shake_hands, until
from tests.fuzz.loop import Turns
from tests.fuzz.target import Budget

from sandtop.agent.wire import (
    AGENT_PROTOCOL,
    Control,
    Credit,
    Data,
    Eof,
    answer,
    encode,
)
from sandtop.core.store import SessionRow

if TYPE_CHECKING:
    import random

    from tests.core.channel.scripted import Core

CUT: Final = b"\xff-CUT-\xff"
_MOST_LINKS: Final = 4
_LONGEST_TURN: Final = 0.15
"""Seconds of processor time for one turn of the loop: the largest hello takes a third of it on a slow machine."""
_KEYS: Final = ("a" * 16, "b" * 16, "c" * 16, "stranger")
_NUMBERS: Final[tuple[object, ...]] = (
    0,
    1,
    5,
    6,
    -1,
    255,
    256,
    4096,
    1 << 31,
    (1 << 63) - 1,
    1 << 64,
    1.5,
    -0.0,
    True,
    None,
    "5",
    [],
)
_TEXTS: Final = ("", "x", "\x1b[2J", "\0", "é" * 300, "9" * 4000, "a" * 16)
_KINDS: Final = ("hello", "started", "exited", "refused", "left", "done", "pong", "processes", "surprise")
_FIELDS: Final = (
    "id", "pid", "record", "op", "seq", "error", "message", "sessions", "version", "n", "left", "processes", "timings",
    "usage", "rows", "total", "clock", "measures", "clock_us", "cpu_us", "memory",
)  # fmt: skip


def _value(rng: random.Random, depth: int = 0) -> object:
    match rng.randrange(8):
        case 0 | 1:
            return rng.choice(_KEYS)
        case 2 | 3:
            return rng.choice(_NUMBERS)
        case 4:
            return rng.choice(_TEXTS)
        case 5 if depth < 3:
            return [_value(rng, depth + 1) for _ in range(rng.randrange(4))]
        case 6 if depth < 3:
            return {rng.choice(_FIELDS): _value(rng, depth + 1) for _ in range(rng.randrange(4))}
        case _:
            return _record(rng)


def _record(rng: random.Random) -> dict[str, object]:
    record: dict[str, object] = {
        "reason": rng.choice(("exited", "signaled", "timeout", "oom", "spawn", "vm-died", "x", 5)),
        "code": rng.choice((0, 7, rng.choice(_NUMBERS))),
    }
    for name in (
        "stdout",
        "stderr",
        "signal",
        "stage",
        "errno",
        "message",
        "duration_ms",
        "cpu_us",
        "memory_peak",
    ):
        if rng.random() < 0.4:
            record[name] = rng.choice((0, 5, rng.choice(_NUMBERS), rng.choice(_TEXTS)))
    return record


def _message(rng: random.Random) -> dict[str, object]:
    kind = rng.choice(_KINDS)
    fields: dict[str, object] = {}
    if rng.random() < 0.7:  # what such a message has
        usual: dict[str, dict[str, object]] = {
            "started": {"id": rng.choice(_KEYS), "pid": rng.choice((7, rng.choice(_NUMBERS)))},
            "exited": {"id": rng.choice(_KEYS), "record": _record(rng)},
            "refused": {"id": rng.choice(_KEYS), "message": rng.choice(_TEXTS)},
            "hello": {"version": AGENT_PROTOCOL, "sessions": _entries(rng)},
        }
        fields = usual.get(kind, {})
    for _ in range(rng.randrange(3)):
        fields[rng.choice(_FIELDS)] = _value(rng)
    return {**fields, "type": kind}


def _entries(rng: random.Random) -> list[object]:
    entries: list[object] = []
    for _ in range(rng.choice((0, 1, 3, 600))):
        entry: dict[str, object] = {"id": rng.choice(_KEYS), "n": rng.randrange(4), "pid": 7, "record": None}
        if rng.random() < 0.3:
            entry["record"] = _record(rng)
        if rng.random() < 0.2:
            entry[rng.choice(_FIELDS)] = _value(rng)
        entries.append(entry)
    return entries


def _odd_json(rng: random.Random) -> bytes:
    size = rng.choice((10, 900, 20_000, 200_000))
    inner = {
        0: "[" * size,
        1: "[" * 900 + "]" * 900,
        2: "[" + ",".join(["{}"] * size) + "]",
        3: '"' + "\\ud800" * (size // 6) + '"',
        4: "9" * size,
        5: "0." + "1" * size,
        6: "[" + ",".join(["9" * 4300] * (size // 4300)) + "]",
        7: '{"a":' * 900 + "1" + "}" * 900,
        8: '"' + "\\n" * (size // 2) + '"',
    }[rng.randrange(9)]
    payload = f'{" " * rng.choice((0, 5))}{{"type":"{rng.choice(_KINDS)}","seq":{inner}}}'.encode()
    return len(payload).to_bytes(4, "big") + b"\x01\0\0\0\0" + payload + b"\0"


def _frame(rng: random.Random) -> bytes:
    stream = rng.randrange(20)
    offset = rng.choice((0, 1, 5, rng.randrange(2000), 1 << 40, (1 << 63) - 1))
    match rng.randrange(10):
        case 0 | 1 | 2:
            return encode(Control(_message(rng)))
        case 3 | 4 | 5:
            return encode(Data(stream, offset, rng.randbytes(rng.choice((0, 1, 2, 300, 60_000)))))
        case 6 | 7:
            return encode(Credit(stream, offset, offset + rng.choice((0, 1, 4096, 1 << 40))))
        case 8:
            return _odd_json(rng)
        case _:
            return rng.choice((encode(Eof(stream, offset)), rng.randbytes(30), answer(b"0" * 32)))


def _flood(rng: random.Random) -> bytes:
    """Many small frames, as an agent that keeps the rules might send them, or one again and again."""
    count = rng.choice((10, 300, 3000))
    match rng.randrange(4):
        case 0:
            return _frame(rng)[:200] * count
        case 1:  # one byte at a time, in turns
            return b"".join(encode(Data(5 + i % 2, i // 2, b"x")) for i in range(count))
        case 2:
            return b"".join(encode(Credit(4, 0, rng.randrange(1 << 20))) for _ in range(count))
        case _:
            return b"".join(encode(Data(4 * (i % 4) + 1, i // 4, b"y")) for i in range(count))


class _Link:
    budget: Final = Budget(cpu=1.0, cpu_per_kib=0.02, memory=64 << 20, hang=60.0)
    seeds: Final = (
        encode(Control({"type": "hello", "version": AGENT_PROTOCOL, "sessions": []}))
        + encode(Control({"type": "started", "id": "a" * 16, "pid": 7}))
        + encode(Data(5, 0, b"abc"))
        + encode(
            Control(
                {"type": "exited", "id": "a" * 16, "record": {"reason": "exited", "code": 0, "stdout": 3}}
            )
        ),
    )
    mutate: Final = True

    def generate(self, rng: random.Random) -> bytes:
        links: list[bytes] = []
        for _ in range(rng.randrange(1, _MOST_LINKS)):
            hello: dict[str, object] = {"type": "hello", "version": AGENT_PROTOCOL, "sessions": []}
            if rng.random() < 0.5:
                hello["sessions"] = _entries(rng)
            parts = [encode(Control(hello))]
            for _ in range(rng.randrange(12)):
                parts.append(_flood(rng) if rng.random() < 0.2 else _frame(rng))
            links.append(b"".join(parts))
        return CUT.join(links)

    def run(self, data: bytes) -> None:
        turns = Turns()
        with tempfile.TemporaryDirectory(prefix="fuzz-") as temporary:
            run(lambda: _attack(Path(temporary), data.split(CUT)[:_MOST_LINKS], turns))
        turns.check(_LONGEST_TURN)


class _Honest(ScriptedAgent):
    """An agent that stands by what an earlier one sent in a program's name."""

    def _own_up(self, credit: Credit) -> None:
        program = self._of(credit.stream)
        for stream in (program.out, program.err) if program is not None else ():
            if stream.number == credit.stream and credit.acked > stream.end and program is not None:
                stream.write(bytes(credit.acked - stream.end))
                program.end()
                self._tell_end(program)


async def _attack(folder: Path, waves: list[bytes], turns: Turns) -> None:
    agent, served = _Honest(), list[int]()

    async def serve(stream: trio.SocketStream) -> None:
        served.append(1)
        if len(served) > len(waves):
            await agent.serve(stream)
            return
        wave = waves[len(served) - 1]
        if not await shake_hands(stream):
            return
        await stream.send_all(wave)
        with trio.move_on_after(30):
            while await stream.receive_some(65536):
                pass

    trio.lowlevel.add_instrument(turns)
    async with listening(folder, serve), running_core(folder) as core:
        for number, tty in enumerate((None, {"rows": 24, "columns": 80}, None)):
            start: dict[str, object] = {"argv": ["x"], "tty": tty, "stdin": True}
            core.sessions.start(
                SessionRow(_KEYS[number], UUID, core.sessions.next_number(), start, "starting", 1.0)
            )
        await until(lambda: len(served) > len(waves) and core.link.connected)
        core.start("d" * 16, "fine")
        await until(lambda: core.sessions.running == 0)
        _check(core)


def _check(core: Core) -> None:
    record = core.sessions.get("d" * 16).record
    assert record is not None
    assert (core.output("d" * 16), record.code, record.missing) == (b"fine", 7, 0)
    for session in core.sessions.all():
        record = session.record
        assert record is not None
        assert (record.stdout, record.stderr) == (session.log.end(1), session.log.end(2))
        assert 0 <= record.exit_status <= 255
        assert (record.message or "").isprintable()
        assert session.log.stored <= 4 * session.output.window + 8 * 65536, "more came than was granted"
        pieces = session.log.pieces(session.log.span.start, session.log.span.stop)
        assert sum(piece.end - piece.start for piece in pieces) == session.log.stored
    assert core.link.connected


TARGET: Final = _Link()
