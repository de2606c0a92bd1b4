"""QEMU's process: what it may and may not, how it is found again, how it ends. Guests do not run here."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import uuid
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from sandtop.core.errors import MachineError, MissingDependency, SandtopError, StorageError
from sandtop.core.machine import Identity, MachineSpec
from sandtop.core.machine.qemu import survivors
from sandtop.core.machine.qemu.descriptors import remove_runtime
from sandtop.core.machine.qemu.machine import adopt, start
from sandtop.core.machine.qemu.process import (
    NICENESS,
    OOM_SCORE_ADJ,
    OPEN_FILES,
    STDERR_BYTES,
    Exit,
    MachineProcess,
    launch,
)
from sandtop.core.machine.qemu.qmp import connect
from sandtop.core.machine.qemu.users import NAMESPACE_UIDS, UIDS, machine_uid

from .conftest import machines_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sandtop.core.machine.qemu.program import Qemu

    from .conftest import MakeScript, MakeSpec, Place

    Spoil = Callable[[MachineSpec, Path], MachineSpec]

pytestmark = pytest.mark.anyio
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives machines a uid of their own")


@pytest.fixture
async def paused(make_spec: MakeSpec, place: Place, qemu: Qemu) -> AsyncIterator[MachineProcess]:
    """A machine of which QEMU is up and no processor runs."""
    spec = make_spec()
    with await launch(spec, place.runtime, qemu=qemu.path) as child:
        async with connect(place.runtime / "qmp", "box") as client:
            await client.execute("query-status")
        yield child
        with trio.CancelScope(shield=True):
            await child.kill()
        assert child.identity.pid not in map(int, filter(str.isdecimal, os.listdir("/proc"))), "a zombie"
    remove_runtime(place.runtime)
    place.assert_empty(spec)


def proc(child: MachineProcess, name: str) -> str:
    """A file of /proc/PID."""
    return Path(f"/proc/{child.identity.pid}/{name}").read_text()


CAP_SYS_ADMIN = 21  # capability.h
MAY_NICE_GROUPS = (
    Path("/proc/self/autogroup").exists()
    # without it all users together may do so ten times a second
    and int(Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0], 16) & 1 << CAP_SYS_ADMIN
)


def niceness(pid: int) -> set[int]:
    """Of all threads."""
    return {os.getpriority(os.PRIO_PROCESS, int(task)) for task in os.listdir(f"/proc/{pid}/task")}


def facts(child: MachineProcess) -> dict[str, str]:
    """/proc/PID/status."""
    lines = proc(child, "status").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def targets(child: MachineProcess) -> list[str]:
    """What its descriptors are, of those that were not closed meanwhile."""
    found: list[str] = []
    for link in Path(f"/proc/{child.identity.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(os.readlink(link))
    return found


# ---- confinement


async def test_it_is_confined(paused: MachineProcess) -> None:
    pid = paused.identity.pid
    status = facts(paused)
    assert status["Seccomp"] == "2"
    assert status["NoNewPrivs"] == "1"
    assert (os.getsid(pid), os.getpgid(pid)) == (pid, pid)
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert proc(paused, "environ") == ""
    limits = proc(paused, "limits")
    assert limits.split("Max core file size")[1].split()[:2] == ["0", "0"]
    assert int(limits.split("Max open files")[1].split()[1]) <= OPEN_FILES
    assert int(proc(paused, "oom_score_adj")) == OOM_SCORE_ADJ
    assert niceness(pid) == {min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)}
    if MAY_NICE_GROUPS:
        assert proc(paused, "autogroup").split()[-1] == str(NICENESS)


@as_root
async def test_it_is_a_user_of_its_own_without_privileges(paused: MachineProcess) -> None:
    status = facts(paused)
    uid = machine_uid(paused.identity.uuid)
    assert uid is not None
    assert uid in UIDS or uid in NAMESPACE_UIDS
    assert status["Uid"].split() == status["Gid"].split() == [str(uid)] * 4
    assert status["Groups"] == ""
    assert {int(status[kind], 16) for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}


async def test_it_has_the_descriptors_that_it_needs_and_no_others(paused: MachineProcess) -> None:
    found = targets(paused)
    files = {Path(target).name for target in found if target.startswith("/") and "memfd" not in target}
    assert files == {"null", "vmlinuz", "initramfs", "image, with a comma", "overlay"}
    rest = [target for target in found if not target.startswith("/")]
    # ours are QMP, console and agent; QEMU has made two connected ones of QMP's and dropped them, or is about to
    assert len([target for target in rest if target.startswith("socket:")]) <= 4
    assert all(target.startswith(("socket:", "anon_inode:")) for target in rest)


async def test_its_sockets_are_private(paused: MachineProcess, place: Place) -> None:
    assert paused.alive
    assert stat.S_IMODE(os.stat(place.runtime).st_mode) == 0o700
    modes = {name: stat.S_IMODE(os.stat(place.runtime / name).st_mode) for name in os.listdir(place.runtime)}
    assert modes == {"qmp": 0o600, "console": 0o600, "agent": 0o600}


@as_root
async def test_a_kernel_that_only_root_may_read(
    make_spec: MakeSpec, place: Place, qemu: Qemu, tmp_path: Path
) -> None:
    kernel = tmp_path / "kernel"
    kernel.touch(mode=0o600)
    spec = make_spec(kernel=kernel)
    with pytest.raises(MachineError, match="cannot be read by the machine's own user") as caught:
        await launch(spec, place.runtime, qemu=qemu.path)
    assert caught.value.hint == f"chmod o+r {kernel}"
    place.assert_empty(spec)


def test_uids_are_never_roots_or_nobodys_and_differ() -> None:
    made = {machine_uid(str(uuid.uuid4())) for _ in range(1000)}
    if os.geteuid() != 0:
        assert made == {None}
        return
    assert len(made) > 980  # in the small range of a rootless container a few collide
    assert not made & {None, 0, 65534}


# ---- identity


async def test_adoption_wants_the_very_process(paused: MachineProcess, place: Place) -> None:
    right = paused.identity
    wrong = [
        replace(right, start_time=right.start_time + 1),
        replace(right, uuid=str(uuid.uuid4())),
        replace(right, boot_id=str(uuid.uuid4())),
        replace(right, pid=os.getpid()),
        replace(right, pid=2**22 - 1),
    ]
    for identity in wrong:
        with pytest.raises(MachineError, match=r"QEMU is gone|the host has rebooted"):
            survivors.adopt(identity, "box")
    log = place.console_log
    async with adopt(right, "box", runtime=place.runtime, console_log=log) as machine:
        assert await machine.status() == "prelaunch"


def test_a_process_that_changes_its_program_is_known_in_the_middle_of_it() -> None:
    """As one is that a core just launched: by nice(1) and prlimit(1), which become QEMU."""
    key = str(uuid.uuid4())
    again = 'test "$1" = 0 || exec /bin/sh -c "$2" "$0" $(($1 - 1)) "$2"'
    child = subprocess.Popen(["/bin/sh", "-c", again, key, "250", again])
    pidfd = os.pidfd_open(child.pid)
    try:
        while child.poll() is None:
            words = survivors.arguments(child.pid, pidfd)
            assert key in words or child.poll() == 0
    finally:
        child.kill()
        child.wait()
        os.close(pidfd)


async def test_adoption_wants_the_very_sockets(
    paused: MachineProcess, make_spec: MakeSpec, place: Place, qemu: Qemu
) -> None:
    other = make_spec(uuid=str(uuid.uuid4()), overlay=place.console_log.parent / "overlay2")
    other.overlay.write_bytes(bytes(4096))
    elsewhere = place.runtime.with_name(place.runtime.name + "2")
    with await launch(other, elsewhere, qemu=qemu.path) as second:
        with pytest.raises(MachineError, match="in this one's place"):
            async with adopt(paused.identity, "box", runtime=elsewhere, console_log=place.console_log):
                pytest.fail("adopted")
        await second.kill()
    remove_runtime(elsewhere)


LAUNCHER = """
import json, os, signal, sys, trio
from dataclasses import asdict
from pathlib import Path
from sandtop.core.machine import MachineSpec
from sandtop.core.machine.qemu.process import launch
async def main():
    given = json.loads(sys.argv[1])
    paths = {key: Path(given[key]) for key in ("kernel", "initramfs", "image", "overlay")}
    spec = MachineSpec(uuid=given["uuid"], name="box", memory_mib=64, **paths)
    tied = int(sys.argv[4]) or None
    child = await launch(spec, Path(sys.argv[2]), qemu=Path(sys.argv[3]), tied=tied)
    print(json.dumps(asdict(child.identity)), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
trio.run(main)
"""


async def launched_by_one_that_dies(spec: MachineSpec, place: Place, qemu: Qemu, *, tied: int) -> Identity:
    command = [sys.executable, "-c", LAUNCHER, json.dumps(spec.to_json())]
    command += [str(place.runtime), str(qemu.path), str(tied)]
    core = await trio.run_process(command, capture_stdout=True, check=False)
    assert core.returncode == -signal.SIGKILL
    return Identity(**json.loads(core.stdout))


async def test_one_that_is_tied_goes_with_who_launched_it(
    make_spec: MakeSpec, place: Place, qemu: Qemu
) -> None:
    """A guest that spins under a KVM that does not work would spin for ever."""
    spec = make_spec()
    await launched_by_one_that_dies(spec, place, qemu, tied=60)
    with trio.fail_after(20):
        while machines_of(spec):  # noqa: ASYNC110  # nothing tells of another's child
            await trio.sleep(0.01)
    remove_runtime(place.runtime)


async def test_one_that_nobody_looks_after_any_more_is_reaped(
    make_spec: MakeSpec, place: Place, qemu: Qemu
) -> None:
    """As one that was not gone within the patience of whoever killed it."""
    spec = make_spec()
    with await launch(spec, place.runtime, qemu=qemu.path) as child:
        pid = child.identity.pid
        with pytest.raises(MachineError, match="does not die"):
            await child.kill(deadline=0)
    with trio.fail_after(20):
        while str(pid) in os.listdir("/proc"):  # noqa: ASYNC110  # a zombie would be there, too
            await trio.sleep(0.01)
    remove_runtime(place.runtime)


async def test_it_outlives_a_core_that_is_killed(make_spec: MakeSpec, place: Place, qemu: Qemu) -> None:
    spec = make_spec()
    identity = await launched_by_one_that_dies(spec, place, qemu, tied=0)
    log = place.console_log
    async with adopt(identity, "box", runtime=place.runtime, console_log=log) as machine:
        assert await machine.status() == "prelaunch"
        await machine.kill()
        end = await machine.exited()
    assert (end.status, end.signal) == (None, None)  # only its parent would know
    assert end.reason == "QEMU is gone"
    with pytest.raises(MachineError, match="QEMU is gone"):
        survivors.adopt(identity, "box")
    remove_runtime(place.runtime)
    place.assert_empty(spec)


# ---- ends


async def test_a_kill_from_outside_is_seen_by_all_who_wait(paused: MachineProcess) -> None:
    seen: list[Exit] = []

    async def watch() -> None:
        seen.append(await paused.wait())

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            nursery.start_soon(watch)
            await trio.testing.wait_all_tasks_blocked()
            os.kill(paused.identity.pid, signal.SIGKILL)
    assert [end.signal for end in seen] == [signal.SIGKILL] * 2
    assert not paused.alive


async def test_orderly_end(make_spec: MakeSpec, place: Place, qemu: Qemu) -> None:
    spec = make_spec()
    async with start(spec, runtime=place.runtime, console_log=place.console_log, qemu=qemu.path) as machine:
        death = await machine.stop()
        assert (death.reason, death.orderly) == ("sandtop stopped it", True)
        assert (await machine.exited()).status == 0
    remove_runtime(place.runtime)
    place.assert_empty(spec)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (Exit(None, 9, False, ""), "QEMU was killed by SIGKILL"),
        (
            Exit(None, 9, True, ""),
            "QEMU was killed by SIGKILL, perhaps by the kernel, which ran out of memory",
        ),
        (Exit(None, 64, False, ""), "QEMU was killed by SIGRTMAX"),
        (Exit(None, 40, False, ""), "QEMU was killed by signal 40"),
        (Exit(1, None, False, "warning\nerror: no"), "QEMU exited with status 1: error: no"),
        (Exit(1, None, False, "qemu: error: no\nUse yes."), "QEMU exited with status 1: qemu: error: no"),
        (Exit(0, None, False, ""), "the machine ended by itself"),
        (Exit(None, None, False, "last words"), "QEMU is gone: last words"),
    ],
)
def test_an_end_has_a_reason(end: Exit, reason: str) -> None:
    assert end.reason == reason


# ---- what cannot start


def _with(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(0o644)
    return path


def _broken_kernel(spec: MachineSpec, folder: Path) -> MachineSpec:
    return replace(spec, kernel=_with(folder / "bad", spec.kernel.read_bytes()[:3000]))


def _no_image(spec: MachineSpec, folder: Path) -> MachineSpec:
    return replace(spec, image=folder / "nothing")


def _too_large(spec: MachineSpec, _folder: Path) -> MachineSpec:
    return replace(spec, memory_mib=1 << 30)


@pytest.mark.parametrize(
    ("spoil", "kind", "words"),
    [
        (_broken_kernel, MachineError, "QEMU exited with status 1: qemu"),
        (_no_image, StorageError, r"cannot open the image: No such file or directory \(.*nothing\)"),
        (_too_large, MachineError, "QEMU exited with status 1: .*memory"),
    ],
)
async def test_what_cannot_start_says_why_and_leaves_nothing(
    spoil: Spoil,
    kind: type[SandtopError],
    words: str,
    make_spec: MakeSpec,
    place: Place,
    qemu: Qemu,
    tmp_path: Path,
) -> None:
    spec = spoil(make_spec(), tmp_path)
    with pytest.raises(kind, match=words) as caught:
        async with start(spec, runtime=place.runtime, console_log=place.console_log, qemu=qemu.path):
            pytest.fail("started")
    assert caught.value.sandbox == "box"
    assert "\n" not in str(caught.value)
    place.assert_empty(spec)


async def test_two_machines_cannot_share_an_overlay(
    paused: MachineProcess, make_spec: MakeSpec, place: Place, qemu: Qemu
) -> None:
    assert paused.alive
    spec = make_spec()
    elsewhere = replace(place, runtime=place.runtime.with_name(place.runtime.name + "2"))
    with pytest.raises(MachineError, match='Failed to get "write" lock'):
        async with start(spec, runtime=elsewhere.runtime, console_log=place.console_log, qemu=qemu.path):
            pytest.fail("started")
    elsewhere.assert_empty(spec)


async def test_no_qemu(make_spec: MakeSpec, place: Place, tmp_path: Path) -> None:
    spec = make_spec()
    with pytest.raises(MissingDependency, match="nowhere is not there"):
        await launch(spec, place.runtime, qemu=tmp_path / "nowhere")
    place.assert_empty(spec)


async def test_a_runtime_folder_too_deep_for_sockets(make_spec: MakeSpec, place: Place, qemu: Qemu) -> None:
    deep = replace(place, runtime=place.runtime / ("x" * 100))
    spec = make_spec()
    with pytest.raises(StorageError, match="too long"):
        await launch(spec, deep.runtime, qemu=qemu.path)
    deep.assert_empty(spec)


def test_a_runtime_folder_with_other_things_in_it_stays(place: Place) -> None:
    place.runtime.mkdir(mode=0o700)
    for name in ("qmp", "agent", "kept"):
        (place.runtime / name).touch()
    remove_runtime(place.runtime)
    assert os.listdir(place.runtime) == ["kept"]


async def test_a_qemu_that_floods_its_stderr_fills_nothing(
    make_spec: MakeSpec, place: Place, script: MakeScript
) -> None:
    spec = make_spec()
    flood = script("yes 'no end of warnings' >&2; exit 3\n")
    with await launch(spec, place.runtime, qemu=flood) as child:
        with trio.fail_after(20):
            death = await child.wait()
        assert (death.status, death.stderr.splitlines()[0]) == (3, "no end of warnings")
        assert len(child.stderr_tail(10**6)) <= STDERR_BYTES
        assert len(death.stderr.splitlines()) == 10
    remove_runtime(place.runtime)
    place.assert_empty(spec)


async def test_a_start_that_is_given_up_leaves_nothing(
    make_spec: MakeSpec, place: Place, script: MakeScript
) -> None:
    spec = make_spec()
    mute = script("exec sleep 1000\n")
    with trio.move_on_after(0.5) as given_up:
        async with start(spec, runtime=place.runtime, console_log=place.console_log, qemu=mute):
            pytest.fail("started")
    assert given_up.cancelled_caught
    place.assert_empty(spec)
