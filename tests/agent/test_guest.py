"""The agent where it lives: process 1 of a real machine."""

from __future__ import annotations

import io
import itertools
import os
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from tests.settings import SLOWER

from sandtop.agent.wire import Credit
from sandtop.core.machine.qemu.program import find_qemu

from .core_side import DEADLINE, WINDOW
from .guest import Guest, boot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .core_side import CoreSide

pytestmark = pytest.mark.vm

BOOT = 90.0 * SLOWER
_NUMBERS = itertools.count(100, 100)
"""Each core begins to count where none before it came."""
NOW_NS = 1_900_000_000 * 10**9


@pytest.fixture(scope="module")
def guest() -> Iterator[Guest]:
    """One machine for this module's tests; the last of them turns it off."""
    with tempfile.TemporaryDirectory(prefix="g-") as folder, boot(Path(folder)) as running:
        yield running


@pytest.fixture(scope="module")
def first_hello(guest: Guest) -> dict[str, object]:
    """The hello of the first link, made and configured once."""
    with guest.open() as core:
        hello = core.link(BOOT)
        assert core.configure(clock_ns=NOW_NS) is None
    return hello


@pytest.fixture
def core(guest: Guest, first_hello: dict[str, object]) -> Iterator[CoreSide]:
    """A core of each test's own: the port is closed and opened again between them."""
    with guest.open() as core:
        core.skip_numbers(next(_NUMBERS))
        assert core.link()["configured"] is True
        yield core
        if core.sock.fileno() >= 0:
            for run in core.runs.values():
                # a test that failed may not fail those after it, too
                if not run.ended and run.refused is None:
                    core.operate("signal", id=run.id, signal=9, scope="all")
                    core.finish(run)
            core.ping()  # what was released is


def text(core: CoreSide, script: str, **fields: object) -> str:
    run = core.shell(script, **fields)
    assert run.stderr == b""
    return run.stdout.decode().strip()


def test_the_first_hello(first_hello: dict[str, object]) -> None:
    assert first_hello["configured"] is False
    timings = cast("dict[str, int]", first_hello["timings"])
    assert list(timings) == ["init", "modules", "disks", "root", "python", "imports", "ready"]
    assert list(timings.values()) == sorted(timings.values())


def test_its_identity(core: CoreSide) -> None:
    assert text(core, "hostname; cat /etc/hostname /etc/machine-id") == (
        "testbox\ntestbox\n0123456789abcdef0123456789abcdef"
    )
    assert text(core, "getent hosts testbox").split() == ["127.0.1.1", "testbox"]
    assert 0 <= int(text(core, "date +%s")) - NOW_NS // 10**9 < 600


def test_a_program_sees_the_sandbox_and_not_what_is_around_it(core: CoreSide) -> None:
    assert text(core, "id -u; pwd; ls /sys/class/net; ls /proc/self/fd | wc -l") == "0\n/tmp\nlo\n4"
    places = text(core, "cut -d' ' -f2 /proc/mounts").splitlines()
    assert "/" in places
    assert not any(place.startswith(("/overlay", "/image", "/sandbox")) for place in places)
    assert text(core, "cat /proc/self/cgroup").startswith("0::/sessions/")
    assert text(core, "ulimit -n; ulimit -Hn") == "1024\n524288"
    status = text(core, "grep -E '^(CapEff|Groups)' /proc/self/status", user="nobody")
    assert status.split() == ["Groups:", "CapEff:", "0" * 16]


def test_its_terminal(core: CoreSide) -> None:
    run = core.shell("stty size; stat -c '%U %G %a' $(tty)", tty={"rows": 33, "columns": 101}, user="nobody")
    assert run.stdout == b"33 101\r\nnobody tty 620\r\n"


def test_bytes_of_every_kind_go_through_the_port(core: CoreSide) -> None:
    data = os.urandom(2 << 20)
    run = core.start("cat", stdin=True)
    core.write(run, data)
    core.close(run)
    core.finish(run, 60 * SLOWER)
    assert run.stdout == data


def test_words_that_are_not_utf_8_arrive(core: CoreSide) -> None:
    assert core.run("printf", "%s", "é\udcff").stdout == "é".encode() + b"\xff"


def test_what_it_used_is_in_the_record(core: CoreSide) -> None:
    record = core.run("python3", "-c", "x = bytearray(20 << 20)").record
    assert record is not None
    assert cast("int", record["cpu_us"]) > 1000
    assert 20 << 20 < cast("int", record["memory_peak"]) < 60 << 20


def test_out_of_memory_has_a_name(core: CoreSide) -> None:
    bystander = core.start("sleep", "1000")
    hungry = 'python3 -c "x = [bytearray(1 << 20) for _ in range(1000)]"'
    for script in (f"exec {hungry}", f"{hungry}; exit $?"):
        run = core.shell(script)
        assert run.record is not None
        assert (run.record["reason"], run.record["signal"]) == ("oom", 9)
    assert core.operate("signal", id=bystander.id, signal=15, scope="leader") is None
    core.finish(bystander)
    assert bystander.record is not None
    assert bystander.record["signal"] == 15


def test_a_fork_bomb_is_bounded_and_the_agent_answers(core: CoreSide) -> None:
    bomb = core.start("/bin/bash", "-c", ":() { : | : & }; :; wait; sleep 100", timeout_ms=4000)
    core.serve(2.0)
    assert core.ping() < 10 * SLOWER
    core.finish(bomb, 60 * SLOWER)
    assert bomb.record is not None
    assert bomb.record["reason"] in ("timeout", "oom")
    assert int(text(core, "ps -e --no-headers | wc -l")) < 70, "kernel threads, and what counts them"
    # its own cgroup may be removed while they look
    assert text(core, "cat /sys/fs/cgroup/sessions/*/cgroup.procs 2>/dev/null | wc -l") == "3", (
        "sh, cat and wc, which look"
    )


def test_root_in_the_sandbox_cannot_end_it_by_accident(core: CoreSide) -> None:
    core.shell("kill -9 1; kill -TERM 1; kill -INT 1; kill -HUP 1; killall5 -9 2>/dev/null")
    assert core.ping() < 10 * SLOWER


def test_copying_works_from_within(core: CoreSide) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("name")
        info.size, info.mtime = 4, 1_000_000_000
        tar.addfile(info, io.BytesIO(b"data"))
    run = core.start(
        builtin={"name": "tar-extract", "path": "copied", "rename": True}, cwd="/root", stdin=True
    )
    core.write(run, out.getvalue())
    core.close(run)
    core.finish(run)
    assert run.record is not None
    assert (run.record.get("code"), run.stderr) == (0, b"")
    assert text(core, "stat -c '%Y %a' /root/copied; cat /root/copied") == "1000000000 644\ndata"
    run = core.run(builtin={"name": "tar-create", "paths": ["/root/copied"]})
    with tarfile.open(fileobj=io.BytesIO(run.stdout)) as tar:
        assert tar.getnames() == ["copied"]


def test_a_core_that_dies_and_comes_back(guest: Guest, core: CoreSide) -> None:
    """In the middle of a flood both ways; meanwhile the machine costs nothing."""
    data = os.urandom(1 << 20)
    count = core.start("seq", "1", "200000")
    cat = core.start("cat", stdin=True)
    core.write(cat, data)
    core.wait(lambda: len(count.stdout) > 100_000 and cat.stdin.acked > 100_000)
    core.sock.close()
    time.sleep(3)  # what still runs comes to rest against its window
    before = guest.busy()
    time.sleep(3)
    assert guest.busy() - before < 3 * 0.05
    with guest.open() as back:
        back.take_over(core)
        back.link()
        back.close(cat)
        back.finish(count)
        back.finish(cat)
        back.ping()
    assert count.stdout == b"".join(b"%d\n" % n for n in range(1, 200_001))
    assert cat.stdout == data


def test_cores_that_die_in_a_flood_without_end(guest: Guest, core: CoreSide) -> None:
    """With QEMU 7 each takes one of the 128 buffers of the port's queue with it: the one that it could not write."""
    last = 2_000_000
    count = core.start("seq", "1", str(last))
    core.wait(lambda: len(count.stdout) > 0)
    begun = len(count.stdout)
    core.sock.close()
    for _ in range(150):
        with guest.open() as dying:
            try:
                dying.link(3)
            except TimeoutError:
                continue  # the queue is used up: the agent sees to it
            dying.send_now(Credit(count.base + 1, begun, begun + WINDOW))
            dying.stall()
    if find_qemu().version.startswith("7."):
        assert "its driver begins anew" in guest.console
    with guest.open() as back:
        back.take_over(core)
        back.link()
        back.finish(count, 120)
        back.ping()
    assert count.stdout == b"".join(b"%d\n" % n for n in range(1, last + 1))


def test_z_shutdown_leaves_a_clean_disk(guest: Guest) -> None:
    with guest.open() as core:
        core.skip_numbers(next(_NUMBERS))
        core.link()
        core.start("/bin/sh", "-c", "while :; do echo x >>/root/growing; done")
        core.serve(0.5)
        begun = time.monotonic()
        assert core.operate("shutdown", grace_ms=2000) is None
        core.until_gone()
    assert guest.process.wait(DEADLINE) == 0
    assert time.monotonic() - begun < 15 * SLOWER
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/sbin:/usr/sbin"}
    dump = subprocess.run(
        ["dumpe2fs", "-h", guest.overlay], capture_output=True, text=True, env=environment, check=True
    )
    state = [
        line
        for line in dump.stdout.splitlines()
        if line.startswith(("Filesystem state", "Filesystem features"))
    ]
    assert "clean" in state[1]
    assert "needs_recovery" not in state[0]
    checked = subprocess.run(
        ["e2fsck", "-fn", guest.overlay], capture_output=True, text=True, env=environment, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_z_an_agent_that_fails_says_why_and_a_full_disk_without_etc_starts() -> None:
    with tempfile.TemporaryDirectory(prefix="g-") as folder:
        _fails_with_a_full_disk(Path(folder))
        with boot(Path(folder)) as guest, guest.open() as core:
            core.link(BOOT)
            assert core.configure() is None
            warnings = cast("list[str]", core.done["warnings"])
            assert warnings, "of some: a few blocks may have come free"
            assert {line.split()[0] for line in warnings} <= {
                "/etc/hostname",
                "/etc/hosts",
                "/etc/machine-id",
            }
            assert all(line.endswith(": No space left on device") for line in warnings), warnings
            assert text(core, "hostname; id -u; test -e /gone/passwd && rm /fill") == "testbox\n0"
            assert core.configure() is None
            assert core.done["warnings"] == []
            assert text(core, "ls /etc") == "hostname\nhosts\nmachine-id\nmtab"


def _fails_with_a_full_disk(folder: Path) -> None:
    with boot(folder) as guest:
        with guest.open() as core:
            core.link(BOOT)
            core.configure()
            fill = "cat /dev/zero >>/fill; sync"  # which frees what was reserved for more than was needed
            core.shell(f"mv /etc /gone; dd if=/dev/zero of=/fill bs=64k; {fill}; {fill}; {fill}")
            # root can: take the agent's cgroup, to which it must return after each start
            core.start("/bin/sh", "-c", "cd /sys/fs/cgroup && echo 1 >cgroup.procs && rmdir agent")
            core.serve(1)
            core.start("true")
            core.until_gone(60)
        guest.process.wait(DEADLINE)
        assert "sandtop-agent: fatal: OSError: [Errno 19]" in guest.console
        assert "panic" not in guest.console
