"""Machines that go on from one template are not alike where they must not be, and their clocks are right."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
from tests.settings import SLOWER, write_settings

from sandtop.core.daemon import app
from sandtop.core.paths import find

from .conftest import beside_the_disk

if TYPE_CHECKING:
    from collections.abc import Generator

    from .conftest import Home

pytestmark = [pytest.mark.timeout(500)]

CLONES = max(4, round(8 / SLOWER))
"""Fewer where the host is an emulated machine."""
FACTS = """
import json, os, random, secrets, time, uuid
def text(path):
    with open(path) as file:
        return file.read().strip()
print(json.dumps({
    "urandom": os.urandom(16).hex(), "boot_id": text("/proc/sys/kernel/random/boot_id"),
    "machine-id": text("/etc/machine-id"), "hostname": os.uname().nodename, "uuid4": str(uuid.uuid4()),
    "secrets": secrets.token_hex(16), "random": random.random(), "hash": hash("sandtop"), "time": time.time(),
    "hosts": text("/etc/hosts"), "name": text("/etc/hostname"),
    "agent's": os.stat("/proc/1/exe").st_ino == os.stat("/usr/bin/python3").st_ino,
    "build": [os.stat("/usr/bin/python3").st_size, open("/usr/bin/python3", "rb").read(1024).hex()],
}))
"""
RANDOM = ("urandom", "boot_id", "uuid4", "secrets", "random", "hash")
"""What comes of the kernel's randomness; the rest is given by the host."""

Facts = dict[str, object]


async def facts_of_clones(home: Home, count: int) -> list[Facts]:
    """What ``count`` sandboxes say of themselves, each gone on from the template."""
    found: list[Facts] = []
    limit = trio.CapacityLimiter(4)
    command = [sys.executable, "-m", "sandtop", "run", "--", "python3", "-c", FACTS]

    async def one() -> None:
        async with limit:
            run = partial(trio.run_process, capture_stdout=True, capture_stderr=True, env=home.environment)
            done = await run(command, check=False)
            assert (done.returncode, beside_the_disk(done.stderr.decode())) == (0, "")
            facts: Facts = json.loads(done.stdout)
            facts["ahead"] = float(str(facts["time"])) - time.time()
            found.append(facts)

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(one)
    return found


async def with_core(home: Home, count: int) -> list[Facts]:
    """The same with a core in this very process, which a test has changed."""
    paths = find()
    paths.ensure()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(app._main, paths)  # pyright: ignore[reportPrivateUsage]
        while not paths.core_socket.exists():  # noqa: ASYNC110 - nothing tells but the file
            await trio.sleep(0.05)
        found = [await first_word(home) for _ in range(count)]
        nursery.cancel_scope.cancel()
    return found


async def first_word(home: Home) -> Facts:
    """What time a fresh sandbox says it is."""
    command = [sys.executable, "-m", "sandtop", "run", "--", "date", "+%s"]
    done = await trio.run_process(command, capture_stdout=True, env=home.environment)
    return {"ahead": float(done.stdout) - time.time()}


LATER = 6 * 3600.0


class LaterClock:
    """The core's clock, hours ahead: as if the template were so much older than it is."""

    @staticmethod
    def time_ns() -> int:
        return time.time_ns() + int(LATER * 1e9)


def off(found: list[Facts], ahead: float) -> float:
    """By how many seconds the clocks that should be ``ahead`` of this host's are not, at most."""
    return max(abs(float(str(facts["ahead"])) - ahead) for facts in found)


def distinct(found: list[Facts], name: str) -> int:
    return len({str(facts[name]) for facts in found})


def builds() -> list[list[object]]:
    """Size and first KiB of the interpreters of guest runtimes here: an image with such a one has the agent run it."""
    programs = find().cache.glob("foundations/*/tree/usr/bin/python3.*")
    return [[path.stat().st_size, path.read_bytes()[:1024].hex()] for path in programs]


@contextmanager
def nothing_stands_by(home: Home) -> Generator[None]:
    """For cores that start meanwhile."""
    write_settings(home.path, "warm_machines = 0")
    try:
        yield
    finally:
        write_settings(home.path)


def test_clones_of_one_template_are_not_alike(home: Home) -> None:
    home.do("run", "--", "true")
    found = trio.run(facts_of_clones, home, CLONES)
    for name in (*RANDOM, "machine-id", "hostname"):
        assert distinct(found, name) == CLONES, name
    for facts in found:  # written over what the template has in their place
        assert facts["name"] == facts["hostname"]
        assert str(facts["hosts"]).splitlines()[-1].split()[:2] == ["127.0.1.1", facts["hostname"]]
        assert facts["agent's"] == (facts["build"] in builds())
    assert off(found, 0) < 30 * SLOWER  # of a busy host


def test_the_clock_after_a_template_that_is_hours_old(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.do("core", "stop")
    monkeypatch.setenv("SANDTOP_HOME", str(home.path))
    monkeypatch.setattr("sandtop.core.fleet.machine.time", LaterClock)
    with nothing_stands_by(home):  # what a core before this one prepared would have its clock
        found = trio.run(with_core, home, 2)
    assert off(found, LATER) < 30 * SLOWER
