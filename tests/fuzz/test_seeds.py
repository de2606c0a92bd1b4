"""Each target takes what once did wrong, what it starts from, and a fixed number of new inputs, within its budget.

``just fuzz TARGET`` searches for more.
"""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import pytest
from tests.fuzz.measure import judge, probe
from tests.fuzz.run import smaller
from tests.fuzz.target import Budget, kept, load, names

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

GENERATED = 12
KEPT = [pytest.param(name, path, id=f"{name}-{path.name}") for name in names() for path in kept(name)]


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_new_inputs(name: str) -> None:
    target = load(name)
    for number, data in enumerate([*target.seeds, *_generated(name)]):
        _, finding = judge(target, data)
        assert finding is None, f"input {number}, {data[:200]!r}: {finding.text}"


def _generated(name: str) -> list[bytes]:
    target = load(name)
    return [target.generate(random.Random(f"{name} {number}")) for number in range(GENERATED)]


@pytest.mark.parametrize("name", names())
def test_inputs_can_be_made_again(name: str) -> None:
    assert _generated(name) == _generated(name)


if KEPT:

    @pytest.mark.parametrize(("name", "path"), KEPT)
    def test_kept_input(name: str, path: Path) -> None:
        _, finding = judge(load(name), path.read_bytes())
        assert finding is None, finding.text


class _Faulty:
    """A target that does what its input says, to hold the runner to what it promises."""

    seeds = (b"",)
    mutate = True

    def __init__(self, hang: float = 10.0) -> None:
        self.budget = Budget(cpu=0.1, cpu_per_kib=0.0, memory=32 << 20, hang=hang)
        self.held = b""

    def generate(self, rng: random.Random) -> bytes:
        return rng.randbytes(4)

    def run(self, data: bytes) -> None:
        if b"raise" in data:
            raise ValueError("as asked")
        if b"spin" in data:
            until = time.process_time() + 0.15
            while time.process_time() < until:
                pass
        if b"hold" in data:
            self.held = b"x" * (64 << 20)
            self.held = b""
        if b"hang" in data:
            time.sleep(60)
        if b"exit" in data:
            os._exit(3)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("raise", "error"),
        ("spin", "slow"),
        ("hold", "memory"),
        ("hang", "hang"),
        ("exit", "died"),
        ("fine", None),
    ],
)
def test_the_runner_sees_what_is_wrong(word: str, kind: str | None) -> None:
    target = _Faulty(hang=0.5) if kind == "hang" else _Faulty()
    finding = probe(target, b"some " + word.encode() + b" more")
    assert (finding.kind if finding is not None else None) == kind


def test_the_runner_makes_an_input_smaller() -> None:
    target = _Faulty()
    data = b"x" * 50 + b"raise" + b"y" * 50
    finding = probe(target, data)
    assert finding is not None
    assert smaller(target, data, finding) == b"raise"
