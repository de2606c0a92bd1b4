"""The host's facts, and the accelerator that really works on it."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from sandtop.core.errors import InvalidRequest, MachineError, MissingDependency
from sandtop.core.machine import Accelerator, Qemu, check_memory, choose, find_qemu, look
from sandtop.core.machine.accelerator import PROBE_DEADLINE

if TYPE_CHECKING:
    from sandtop.core.guest import Kernel

    from .conftest import MakeScript


def test_the_host_that_this_is() -> None:
    host = look()
    assert 0 < host.available_mib <= host.memory_mib
    assert host.cpus >= 1
    assert host.kernel == os.uname().release
    assert (host.vsock is None) == os.access("/dev/vhost-vsock", os.R_OK | os.W_OK)


def test_memory_beyond_the_hosts() -> None:
    most = look().memory_mib
    check_memory(most)
    with pytest.raises(InvalidRequest, match=f"{most + 1} MiB of memory is more than the host's {most} MiB"):
        check_memory(most + 1)


def test_qemu_is_found_with_its_version(qemu: Qemu) -> None:
    assert qemu.path.is_absolute()
    assert qemu.version[0].isdecimal()


def test_no_qemu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency, match="not installed") as caught:
        find_qemu()
    assert caught.value.hint == "apt-get install --no-install-recommends qemu-system-x86"


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("echo QEMU emulator version 6.2.0", r"QEMU 6\.2\.0 is too old: 7\.2 is needed"),
        ("echo hello", "does not tell its version"),
        ("exit 1", "does not run"),
    ],
)
def test_a_qemu_that_is_of_no_use(
    body: str, complaint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "qemu-system-x86_64"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency, match=complaint):
        find_qemu()


@pytest.mark.vm
@pytest.mark.anyio
async def test_kvm_is_what_boots_a_guest(qemu: Qemu, kernel: Kernel, tmp_path: Path) -> None:
    """Whatever this host is, the answer comes in time, is remembered, and is what `choose` goes by."""
    with trio.fail_after(PROBE_DEADLINE + 3):
        chosen = await choose(qemu, kernel.image, tmp_path)
    assert chosen.reason
    assert not _probes_running()
    with trio.fail_after(1):  # no second probe
        assert await choose(qemu, kernel.image, tmp_path) == chosen
    if chosen.accelerator is Accelerator.TCG:
        with pytest.raises(MachineError, match="KVM does not work here"):
            await choose(qemu, kernel.image, tmp_path, wanted=Accelerator.KVM)


def _probes_running() -> list[str]:
    """Of this process: others may be probing at the same time."""
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b"sandtop-probe" in words and parent == os.getpid():
            found.append(str(path))
    return found


PROBER = """
import sys, trio
from sandtop.core.machine.accelerator import output_of
trio.run(output_of, ["sh", "-c", f"echo $$ >{sys.argv[1]}.new; mv {sys.argv[1]}.new {sys.argv[1]}; exec sleep 1000"],
         b"never said", 60)
"""


def test_a_probe_goes_with_who_made_it(tmp_path: Path) -> None:
    """Also with one that is killed: a guest that spins under a KVM that does not work would spin for ever."""
    said = tmp_path / "pid"
    prober = subprocess.Popen([sys.executable, "-c", PROBER, said])
    try:
        while not said.exists():
            assert prober.poll() is None
            time.sleep(0.01)
        probe = os.pidfd_open(int(said.read_text()))
    finally:
        prober.kill()
        prober.wait()
    try:
        assert select.select([probe], [], [], 20)[0], "the probe goes on"
    finally:
        os.close(probe)


needs_kvm_device = pytest.mark.skipif(
    not os.access("/dev/kvm", os.R_OK | os.W_OK), reason="no /dev/kvm to open"
)


@needs_kvm_device
@pytest.mark.anyio
@pytest.mark.parametrize("kept", [b"", b"[]", b"{", b'{"works": true, "reason": "I say so", "key": {}}'])
async def test_what_is_remembered_is_not_believed_blindly(
    kept: bytes, script: MakeScript, kernel: Kernel, tmp_path: Path
) -> None:
    refusing = Qemu(script("echo 'qemu: failed to initialize kvm' >&2; exit 1\n"), "7.2")
    memory = tmp_path / "accelerator.json"
    memory.write_bytes(kept)
    chosen = await choose(refusing, kernel.image, tmp_path)
    assert chosen.accelerator is Accelerator.TCG
    assert chosen.reason.endswith("a guest does not boot: qemu: failed to initialize kvm")
    assert b"failed to initialize" in memory.read_bytes()
    assert os.listdir(tmp_path) == ["accelerator.json"]


@pytest.mark.anyio
async def test_tcg_is_not_probed_for(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    chosen = await choose(Qemu(nothing, ""), nothing, nothing, wanted=Accelerator.TCG)
    assert chosen.accelerator is Accelerator.TCG
