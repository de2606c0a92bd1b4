"""Work goes on, and is exact, while the core is killed with SIGKILL at random moments."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from .conftest import PATIENCE, Home, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = int(os.environ.get("SANDTOP_CHAOS_BYTES", 100_000_000))
KILLS = 10
"""Of the core, in one stream."""
BLOCK = 4096
"""Lines of 16 bytes that are written at once, all the same."""
PRODUCER = (
    "import sys\nfor i in range(int(sys.argv[1])): sys.stdout.buffer.write((b'%%015d\\n' %% i) * %d)" % BLOCK
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
    print(f"SANDTOP_CHAOS_SEED={seed}")
    return random.Random(seed)


class Killer:
    """Kills the core whenever one of ``moments`` (bytes) is reached."""

    def __init__(self, home: Home, moments: list[int]) -> None:
        self._home = home
        self._moments = sorted(moments, reverse=True)
        self.killed: set[int] = set()
        self._kills = 0

    def reached(self, count: int) -> None:
        while self._moments and count >= self._moments[-1]:
            self._moments.pop()
            pids: list[int] = []
            eventually(lambda: (pid := self._home.kill_core()) is not None and not pids.append(pid), 60)
            self.killed.update(pids)
            self._kills += 1

    @property
    def kills(self) -> int:
        return self._kills


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
    assert expected == b"" and next(want, None) is None, f"it ends at {position}"
    return position


def reading(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    assert process.stdout is not None
    while data := process.stdout.read1(1 << 16):  # type: ignore[attr-defined]
        yield data


@pytest.mark.timeout(ROUND_SECONDS * int(os.environ.get("SANDTOP_CHAOS_ROUNDS", "10")) / KILLS)
def test_a_producer_is_exact(home: Home, box: str, chaos_rounds: int, dice: random.Random) -> None:
    for _ in range(max(1, chaos_rounds // KILLS)):
        blocks = SIZE // (16 * BLOCK)
        killer = Killer(home, [dice.randrange(1, blocks * 16 * BLOCK) for _ in range(KILLS)])
        key_before = home.do("exec", "-d", box, "--", "true").split()[-1]
        with home.popen(
            "exec", box, "--", "python3", "-c", PRODUCER, str(blocks), stdout=subprocess.PIPE
        ) as client:
            sessions: list[str] = []
            eventually(
                lambda: (
                    (key := home.last_session(box)["id"]).encode() != key_before and not sessions.append(key)
                )
            )
            with home.popen("logs", "-f", box, sessions[-1], stdout=subprocess.PIPE) as watcher:
                seen: list[int] = []
                watching = threading.Thread(
                    target=lambda: seen.append(check(reading(watcher), sequence(blocks)))
                )
                watching.start()
                assert check(reading(client), sequence(blocks), killer) == blocks * 16 * BLOCK
                assert client.wait(PATIENCE) == 0
                watching.join(PATIENCE)
                assert seen == [blocks * 16 * BLOCK]
                assert watcher.wait(PATIENCE) == 0
        session = home.session(box, sessions[-1])
        assert (session["state"], session["exit_code"], session["reason"]) == ("exited", 0, "exited")
        assert session["record"]["stdout"] == session["stdout_bytes"] == blocks * 16 * BLOCK
        with home.popen("logs", box, sessions[-1], stdout=subprocess.PIPE) as stored:
            assert check(reading(stored), sequence(blocks)) == blocks * 16 * BLOCK
        print(f"{blocks * 16 * BLOCK} bytes out, the core killed {killer.kills} times")
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
        print(f"{position} bytes in, the core killed {killer.kills} times")
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
    print(f"{runs} commands, the core killed {len(kills)} times")
    assert len(kills) == chaos_rounds
