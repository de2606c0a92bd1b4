"""Work goes on, and is exact, while the core is killed with SIGKILL at random moments."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from .conftest import PATIENCE, Home, eventually, say

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = int(os.environ.get("SANDTOP_CHAOS_BYTES", 40_000_000))
KILLS = 10
"""Of the core, in one stream."""
BLOCK = 4096
"""Lines of 16 bytes that are written at once, all the same."""
PRODUCER = (
    "import sys\nfor i in range(int(sys.argv[1])):\n"
    f"  sys.stdout.buffer.write(b''.join([b'%015d\\n' % i]) * {BLOCK})"
)
ROUND_SECONDS = 400

pytestmark = pytest.mark.chaos


def sequence(blocks: int) -> Iterator[bytes]:
    for number in range(blocks):
        yield (b"%015d\n" % number) * BLOCK


@pytest.fixture
def dice() -> random.Random:
    """Its seed is printed: SANDTOP_CHAOS_SEED runs the same moments again."""
    seed = int(os.environ.get("SANDTOP_CHAOS_SEED") or random.SystemRandom().randrange(1 << 32))
    say(f"SANDTOP_CHAOS_SEED={seed}")
    return random.Random(seed)


class Killer:
    """Kills the core whenever one of ``moments`` (bytes) is reached."""

    def __init__(self, home: Home, moments: list[int]) -> None:
        self._home = home
        self._moments = sorted(moments, reverse=True)
        self.kills = 0

    def reached(self, count: int) -> None:
        while self._moments and count >= self._moments[-1]:
            self._moments.pop()
            eventually(self._kill, 60)

    def _kill(self) -> bool:
        if self._home.kill_core() is None:
            return False
        self.kills += 1
        say(f"the core is killed, {self.kills}")
        return True


def check(stream: Iterator[bytes], want: Iterator[bytes], killer: Killer | None = None) -> int:
    """Read ``stream``, which must be ``want``; how many bytes that were."""
    position, expected = 0, b""
    for data in stream:
        while len(expected) < len(data):
            expected += next(want, b"the end")
        assert data == expected[: len(data)], f"a difference in the {len(data)} bytes from {position} on"
        expected = expected[len(data) :]
        position += len(data)
        if killer is not None:
            killer.reached(position)
    assert expected == b"", f"it ends at {position}"
    assert next(want, None) is None, f"it ends at {position}"
    return position


def reading(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    assert process.stdout is not None
    while data := process.stdout.read1(1 << 16):  # type: ignore[attr-defined]
        yield data


@pytest.mark.timeout(ROUND_SECONDS * int(os.environ.get("SANDTOP_CHAOS_ROUNDS", "10")) / KILLS)
def test_a_producer_is_exact(home: Home, box: str, chaos_rounds: int, dice: random.Random) -> None:
    for _ in range(max(1, chaos_rounds // KILLS)):
        produce(home, box, dice)


def produce(home: Home, box: str, dice: random.Random) -> None:
    """One stream of a known sequence to two readers, and to the log."""
    blocks = SIZE // (16 * BLOCK)
    size = blocks * 16 * BLOCK
    killer = Killer(home, [dice.randrange(1, size) for _ in range(KILLS)])
    before = len(home.sessions(box))
    with home.popen(
        "exec", box, "--", "python3", "-c", PRODUCER, str(blocks), stdout=subprocess.PIPE
    ) as client:
        eventually(lambda: len(home.sessions(box)) > before)
        key = home.last_session(box)["id"]
        with home.popen("logs", "-f", box, key, stdout=subprocess.PIPE) as watcher:
            seen: list[int] = []
            watching = threading.Thread(target=lambda: seen.append(check(reading(watcher), sequence(blocks))))
            watching.start()
            assert check(reading(client), sequence(blocks), killer) == size
            assert client.wait(PATIENCE) == 0
            watching.join(PATIENCE)
            assert seen == [size]
            assert watcher.wait(PATIENCE) == 0
    session = home.session(box, key)
    assert (session["state"], session["exit_code"], session["reason"]) == ("exited", 0, "exited")
    assert session["record"]["stdout"] == session["stdout_bytes"] == size
    with home.popen("logs", box, key, stdout=subprocess.PIPE) as stored:
        assert check(reading(stored), sequence(blocks)) == size
    say(f"{size} bytes out, the core killed {killer.kills} times")
    assert killer.kills == KILLS


@pytest.mark.timeout(ROUND_SECONDS * int(os.environ.get("SANDTOP_CHAOS_ROUNDS", "10")) / KILLS)
def test_a_consumer_is_exact(home: Home, box: str, chaos_rounds: int, dice: random.Random) -> None:
    for _ in range(max(1, chaos_rounds // KILLS)):
        blocks = SIZE // (16 * BLOCK)
        killer = Killer(home, [dice.randrange(1, blocks * 16 * BLOCK) for _ in range(KILLS)])
        digest, position = hashlib.sha256(), 0
        with home.popen(
            "exec", "-i", box, "--", "sha256sum", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as client:  # fmt: skip
            assert client.stdin is not None
            assert client.stdout is not None
            for block in sequence(blocks):
                client.stdin.write(block)
                digest.update(block)
                position += len(block)
                killer.reached(position)
            client.stdin.close()
            assert client.stdout.read().split()[0].decode() == digest.hexdigest()
            assert client.wait(PATIENCE) == 0
        say(f"{position} bytes in, the core killed {killer.kills} times")
        assert killer.kills == KILLS


def test_a_command_runs_once(home: Home, box: str, chaos_rounds: int, dice: random.Random) -> None:
    done = threading.Event()
    kills: list[int] = []

    def kill() -> None:
        while len(kills) < chaos_rounds and not done.is_set():
            done.wait(dice.uniform(0.0, 0.6))
            if (pid := home.kill_core()) is not None:
                kills.append(pid)

    home.do("exec", box, "--", "rm", "-f", "/root/once")
    runs = 0
    killing = threading.Thread(target=kill)
    killing.start()
    try:
        while killing.is_alive():
            runs += 1
            finished = home.run("exec", box, "--", "sh", "-c", f"echo {runs} >>/root/once")
            assert finished.returncode == 0, finished.stderr.decode()
    finally:
        done.set()
        killing.join()
    lines = home.do("exec", box, "--", "cat", "/root/once").split()
    assert lines == [b"%d" % number for number in range(1, runs + 1)]
    say(f"{runs} commands, the core killed {len(kills)} times")
    assert len(kills) == chaos_rounds
