"""The host's facts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandtop.core.errors import InvalidRequest, MissingDependency
from sandtop.core.machine import Qemu, check_memory, find_qemu, look

if TYPE_CHECKING:
    from pathlib import Path


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
    assert caught.value.hint == "run: sandtop setup"


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
