"""The host's disk has no room: who fills it is stopped first, nobody for good, and each says why. Clocks after that."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from sandtop.core import paths

from .conftest import Home, eventually, say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1 << 20
SIZE = 640 * MIB
RESERVE = SIZE // 20
HOURS_BEHIND = 7200


class Disk:
    """The small disk on which all the sandboxes of a home are, and a file of the host's own that fills it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    @property
    def free(self) -> int:
        facts = os.statvfs(self.folder)
        return facts.f_bavail * facts.f_frsize

    def leave(self, size: int) -> None:
        """Fill it, all but ``size`` bytes."""
        descriptor = os.open(self._ballast, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, max(self.free - size, 4096))
        finally:
            os.close(descriptor)

    def clear(self) -> None:
        self._ballast.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    folder = tmp_path_factory.mktemp("d")
    folder.parent.chmod(0o711)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=711", "sandtop-test", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount a tmpfs")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def tight(home: Home, disk: Disk) -> Iterator[Home]:
    """A home on that disk, with the sandboxes ``greedy`` and ``modest``."""
    (disk.folder / "cache").symlink_to(paths.find().cache)
    (disk.folder / "config").mkdir()
    (disk.folder / "config" / "config.toml").write_text("warm_machines = 0\n")
    tight = Home(disk.folder)
    tight.do("create", "greedy", "--memory", "256M")
    tight.do("create", "modest", "--memory", "256M")
    yield tight
    disk.clear()
    tight.do("rm", "--force", "greedy", "modest")
    tight.do("core", "stop", "--all")


def attention(home: Home, box: str) -> str:
    return str(home.box(box)["attention"] or "")


def behind(home: Home, box: str) -> float:
    """Seconds by which a guest's clock is behind the host's."""
    before = time.time()
    return before - float(home.do("exec", box, "--", "date", "+%s.%N"))


def test_who_fills_the_disk_is_stopped_while_there_is_room_for_the_others(tight: Home, disk: Disk) -> None:
    disk.leave(RESERVE + 40 * MIB)
    endless = "head -c 8M /dev/urandom > /dev/shm/some; while :; do cat /dev/shm/some; done > /growing"
    tight.do("exec", "-d", "greedy", "--", "sh", "-c", endless)
    eventually(lambda: "reserve" in attention(tight, "greedy"), 60)
    say(f"stopped with {disk.free / MIB:.1f} MiB of {RESERVE / MIB:.0f} left: {attention(tight, 'greedy')}")
    assert 0 < disk.free < RESERVE

    tight.do("exec", "modest", "--", "sh", "-c", "echo something > /small; sync")
    refused = tight.run("exec", "greedy", "--", "true")
    assert refused.returncode == 125
    assert b"cannot exec in greedy: it stands still" in refused.stderr
    refused = tight.run("resume", "greedy")
    assert refused.returncode == 125
    assert b"cannot resume greedy" in refused.stderr
    refused = tight.run("create", "third")
    assert refused.returncode == 125
    assert b"cannot create third" in refused.stderr
    assert {each["name"] for each in tight.boxes()} == {"greedy", "modest"}

    tight.kill_core()  # the next one knows that nobody paused it
    assert tight.box("greedy")["state"] == "running"
    assert "reserve" in attention(tight, "greedy")
    disk.clear()
    eventually(lambda: not attention(tight, "greedy"), 30)
    tight.do("restart", "--force", "greedy")  # ends what it writes


def test_a_full_disk_stops_nobody_for_good(tight: Home, disk: Disk) -> None:
    tight.do("stop", "greedy")
    writes = "head -c 3000000 /dev/urandom > /dev/shm/some; echo ready; read go; cp /dev/shm/some /kept; sync"
    with tight.popen(
        "exec", "-i", "modest", "--", "sh", "-c", f"{writes}; cmp /dev/shm/some /kept",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as client:  # fmt: skip
        assert client.stdin is not None
        assert client.stdout is not None
        assert client.stdout.readline() == b"ready\n"
        disk.leave(0)
        client.stdin.write(b"go\n")
        client.stdin.flush()
        eventually(lambda: "No space left on device" in attention(tight, "modest"), 60)
        say(attention(tight, "modest"))
        assert tight.box("modest")["state"] == "running"
        refused = tight.run("resume", "modest")
        assert refused.returncode == 125
        assert b"No space left on device" in refused.stderr
        refused = tight.run("start", "greedy")  # the database says no, or its disk at the first write
        assert refused.returncode == 125
        say(refused.stderr.decode())

        tight.kill_core()
        eventually(lambda: "stands still" in attention(tight, "modest"), 30)
        disk.clear()
        say(f"goes on after {eventually(lambda: not attention(tight, 'modest'), 30):.1f} s")
        assert client.wait(60) == 0
    assert abs(behind(tight, "modest")) < 5


def test_a_clock_is_right_after_whatever_stopped_the_machine(tight: Home) -> None:
    turn_back = ("exec", "modest", "--", "sh", "-c", f"date -s @$(($(date +%s) - {HOURS_BEHIND}))")
    tight.do(*turn_back)
    assert behind(tight, "modest") > HOURS_BEHIND - 60  # it is the guest's own meanwhile
    tight.do("pause", "modest")
    tight.do("resume", "modest")
    assert abs(behind(tight, "modest")) < 5
    tight.do(*turn_back)
    tight.kill_core()
    eventually(lambda: abs(behind(tight, "modest")) < 5)
