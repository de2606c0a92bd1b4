"""What `doctor` finds on hosts that lack something. The hosts are this one with another PATH or home."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from sandtop.core import doctor
from sandtop.core.doctor import Finding, Verdict
from sandtop.core.guest import Kernel, kernel, tools
from sandtop.core.machine import accelerator
from sandtop.core.machine.accelerator import Choice
from sandtop.core.machine.spec import Accelerator
from sandtop.core.paths import Paths

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(*(tmp_path / name for name in ("data", "cache", "config", "runtime")))


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is all there is on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(tools, "environment", lambda: {"PATH": str(folder)})  # it adds /sbin
    return folder


def program(folder: Path, name: str, script: str = "") -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def examine(paths: Paths) -> dict[str, Finding]:
    return {finding.name: finding for finding in doctor.examine(paths)}


def test_a_bare_machine_fails_and_every_failure_says_what_mends_it(paths: Paths, programs: Path) -> None:
    found = examine(paths)
    failed = {name for name, finding in found.items() if finding.verdict is Verdict.FAIL}
    assert {"qemu", "build-tools"} <= failed
    assert all(found[name].mend for name in failed)
    assert str(found["qemu"].mend).endswith("apt-get install --no-install-recommends qemu-system-x86")
    assert str(found["build-tools"].mend).endswith("apt dpkg e2fsprogs mmdebstrap squashfs-tools")
    assert not list(programs.iterdir())


@pytest.mark.parametrize(
    ("says", "verdict", "detail"),
    [
        ("QEMU emulator version 7.2.22 (Debian 1:7.2)", Verdict.OK, "7.2.22 (Debian 1:7.2), "),
        ("QEMU emulator version 5.2.0", Verdict.FAIL, "QEMU 5.2.0 is too old"),
        ("segmentation fault", Verdict.FAIL, "does not tell its version"),
    ],
)
def test_qemu(paths: Paths, programs: Path, says: str, verdict: Verdict, detail: str) -> None:
    program(programs, "qemu-system-x86_64", f"echo '{says}'")
    found = examine(paths)["qemu"]
    assert found.verdict is verdict
    assert detail in found.detail


def test_nothing_built_yet_is_no_failure(paths: Paths) -> None:
    found = examine(paths)
    assert {found[name].verdict for name in ("kernel", "images", "accelerator")} == {Verdict.WARN}
    assert {found[name].mend for name in ("kernel", "images")} == {"sandtop run -- true"}


def test_a_home_that_cannot_be_used(paths: Paths) -> None:
    paths.data.write_text("a file where the folder should be")
    found = examine(paths)["home"]
    assert found.verdict is Verdict.FAIL
    assert str(paths.data) in found.detail


@pytest.mark.parametrize(("free", "verdict"), [(100, Verdict.FAIL), (2000, Verdict.WARN), (9000, Verdict.OK)])
def test_disk(paths: Paths, monkeypatch: pytest.MonkeyPatch, free: int, verdict: Verdict) -> None:
    total, used, _ = shutil.disk_usage("/")
    usage = type(shutil.disk_usage("/"))(total, used, free << 20)

    def disk_usage(_path: Path) -> object:
        return usage

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    found = examine(paths)["disk"]
    assert found.verdict is verdict
    assert f"{free} MiB free" in found.detail


@pytest.mark.parametrize(
    ("kind", "verdict", "says"),
    [
        (Accelerator.TCG, Verdict.WARN, "no security boundary"),
        (Accelerator.KVM, Verdict.OK, "could not exercise"),
    ],
)
def test_the_accelerator_that_works(
    paths: Paths,
    programs: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: Accelerator,
    verdict: Verdict,
    says: str,
) -> None:
    async def choose(*_: object) -> Choice:
        return Choice(kind, "because it was asked")

    program(programs, "qemu-system-x86_64", "echo QEMU emulator version 7.2.22")

    def find(_cache: Path) -> Kernel:
        return Kernel("6.1", paths.cache / "vmlinuz", paths.cache / "modules", "digest")

    monkeypatch.setattr(kernel, "find", find)
    monkeypatch.setattr(accelerator, "choose", choose)
    found = examine(paths)["accelerator"]
    assert found.verdict is verdict
    assert found.detail.startswith(kind.value)
    assert says in found.detail
    assert "because it was asked" in found.detail
