"""The fuzz runner: ``just fuzz TARGET [--minutes N] [--seed S]``.

Inputs run one after the other in a child process. One that raises, costs too much, hangs or takes the process with it
is made smaller, kept in the folder of its target's seeds, and shown; the rest goes on in another child. Findings of
one place are shown once. Inputs that cost most for their size are tried again with changes, so cost is searched for
as well as errors. The same seed makes the same inputs, but for those.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import json
import logging
import mmap
import os
import random
import struct
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final, cast

from tests.fuzz.measure import Finding, died, in_child, judge, kill_hung, probe
from tests.fuzz.mutate import MAX_INPUT, mutated
from tests.fuzz.target import SEEDS, kept, load, names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.fuzz.target import Target

_HEAD: Final = struct.Struct("=QdQ")
_POOL: Final = 32
"""How many dear inputs are remembered."""
_SMALL: Final = 256
"""Bytes that an input counts as at the least, when its cost is set against its size."""
_SHRINKING: Final = 30.0
"""Seconds that making an input smaller may take."""
_ROOM: Final = 4 * MAX_INPUT


class _Desk:
    """Memory that parent and child share: how many inputs were begun, when the last was, and which it is."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, _HEAD.size + _ROOM)

    def begin(self, number: int, data: bytes) -> None:
        data = data[:_ROOM]
        self._map[_HEAD.size : _HEAD.size + len(data)] = data
        # in one copy: pack_into fills with zeros first, and the parent would take that for a time long ago
        self._map[: _HEAD.size] = _HEAD.pack(number, time.monotonic(), len(data))

    @property
    def number(self) -> int:
        return cast("tuple[int, float, int]", _HEAD.unpack_from(self._map, 0))[0]

    @property
    def age(self) -> float:
        return time.monotonic() - cast("tuple[int, float, int]", _HEAD.unpack_from(self._map, 0))[1]

    @property
    def data(self) -> bytes:
        size = cast("tuple[int, float, int]", _HEAD.unpack_from(self._map, 0))[2]
        return self._map[_HEAD.size : _HEAD.size + size]


class _Inputs:
    """What to try next."""

    def __init__(self, target: Target, seeds: Sequence[bytes], rng: random.Random) -> None:
        self._target = target
        self._seeds = seeds
        self._rng = rng
        self._dear: list[tuple[float, bytes]] = []

    def next(self) -> bytes:
        rng = self._rng
        turn, own = rng.random(), random.Random(rng.random())
        if not self._target.mutate or turn < 0.5:
            return self._target.generate(own)
        if turn < 0.75 and self._dear:
            pool = [data for _, data in self._dear]
            return mutated(own, own.choice(pool), pool)
        if turn < 0.9 and self._seeds:
            return mutated(own, own.choice(self._seeds), self._seeds)
        made = self._target.generate(own)
        return mutated(own, made, [made, *self._seeds])

    def cost(self, data: bytes, seconds: float) -> None:
        entry = (seconds / max(len(data), _SMALL), data)
        if len(self._dear) < _POOL:
            heapq.heappush(self._dear, entry)
        elif entry > self._dear[0]:
            heapq.heapreplace(self._dear, entry)


class Run:
    """One run against ``target``."""

    def __init__(self, name: str, seconds: float, seed: int) -> None:
        self._name = name
        self._target = load(name)
        self._seeds = [*self._target.seeds, *(path.read_bytes() for path in kept(name))]
        self._seed = seed
        self._until = time.monotonic() + seconds
        self._desk = _Desk()
        self._known: set[str] = set()
        self._repeated = 0

    def go(self) -> int:
        """Run until the time is up; how many different findings there were."""
        started = time.monotonic()
        _say(f"fuzz {self._name}: seed {self._seed}, {len(self._seeds)} seeds, {self._until - started:.0f} s")
        executions = rounds = 0
        while rounds == 0 or time.monotonic() < self._until:
            executions += self._round(rounds)
            rounds += 1
        took = time.monotonic() - started
        _say(
            f"fuzz {self._name}: seed {self._seed}, {executions} executions in {took:.0f} s, "
            f"{executions / took:.0f} executions/s, {len(self._known)} findings ({self._repeated} repeated)"
        )
        return len(self._known)

    def _round(self, number: int) -> int:
        """One child's life; how many inputs it ran."""
        self._desk.begin(0, b"")
        with TemporaryFile() as answer, TemporaryFile() as stack:

            def work() -> None:
                finding = self._work(number)
                if finding is not None:
                    answer.write(json.dumps(asdict(finding)).encode())
                    answer.flush()

            pid = in_child(work, stack.fileno())
            finding = None
            try:
                while True:
                    ended, status = os.waitpid(pid, os.WNOHANG)
                    if ended:
                        break
                    if self._desk.age > self._target.budget.hang:
                        where = kill_hung(pid, stack.fileno())
                        finding, status = Finding("hang", where, f"no end after {self._desk.age:.0f} s"), 0
                        break
                    time.sleep(0.05)
            except BaseException:
                with suppress(ChildProcessError):
                    kill_hung(pid, stack.fileno())
                raise
            answer.seek(0)
            if told := answer.read():
                finding = Finding(**json.loads(told))
            elif status != 0:
                finding = died(status)
        if finding is not None:
            self._report(finding, self._desk.data)
        return self._desk.number

    def _work(self, number: int) -> Finding | None:
        """In the child: inputs until one of them is a finding that is not known, or the time is up."""
        logging.disable(logging.CRITICAL)
        inputs = _Inputs(self._target, self._seeds, random.Random(f"{self._seed} {number}"))
        first = list(self._seeds) if number == 0 else []
        count = 0
        while first or time.monotonic() < self._until:
            data = first.pop() if first else inputs.next()
            count += 1
            self._desk.begin(count, data)
            cost, finding = judge(self._target, data)
            if finding is not None and finding.signature not in self._known:
                return finding
            inputs.cost(data, cost.cpu)
        return None

    def _report(self, finding: Finding, data: bytes) -> None:
        if finding.signature in self._known:
            self._repeated += 1
            return
        self._known.add(finding.signature)
        again = probe(self._target, data)
        note = ""
        if again is None:
            note = "\n(not again when it was run alone: what ran before it matters, or the machine was busy)"
        else:
            self._known.add(again.signature)
            data = smaller(self._target, data, again)
        path = SEEDS / self._name / f"{finding.signature[:80]}-{hashlib.sha256(data).hexdigest()[:8]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        _say(f"FINDING {finding.kind} {finding.where}: {len(data)} bytes, {path}\n{finding.text}{note}")


def smaller(target: Target, data: bytes, finding: Finding) -> bytes:
    """``data`` without parts that ``finding`` does not need, as far as half a minute goes."""
    until = time.monotonic() + _SHRINKING
    piece = len(data) // 2
    while piece and time.monotonic() < until:
        at = 0
        while at < len(data) and time.monotonic() < until:
            shorter = data[:at] + data[at + piece :]
            found = probe(target, shorter)
            if found is not None and found.signature == finding.signature:
                data = shorter
            else:
                at += piece
        piece //= 2
    return data


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("target", choices=names(), metavar="TARGET", help=", ".join(names()))
    parser.add_argument("--minutes", type=float, default=1.0, help="how long (default: 1)")
    parser.add_argument("--seed", type=int, default=None, help="make the inputs of an earlier run again")
    options = parser.parse_args()
    seed = cast("int | None", options.seed)
    if seed is None:
        seed = random.SystemRandom().randrange(1 << 32)
    try:
        return min(Run(options.target, 60 * cast("float", options.minutes), seed).go(), 1)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
