"""What `doctor` finds on hosts that lack something. The hosts are this one with another PATH or home."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sandtop.core import doctor
from sandtop.core.cli import doctor as doctor_command
from sandtop.core.findings import Finding, Verdict
from sandtop.core.guest import BootFiles, GuestStore, Image, archive, tools
from sandtop.core.machine import Accelerator, Choice
from sandtop.core.machine.qemu import doctor as qemu_doctor
from sandtop.core.machine.qemu.driver import QemuDriver
from sandtop.core.paths import Paths
from sandtop.core.place import Place

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
    assert "apt-get update && " in str(found["qemu"].mend)  # install alone fails where there are no lists yet
    assert str(found["qemu"].mend).endswith("apt-get install --no-install-recommends qemu-system-x86")
    assert str(found["build-tools"].mend).endswith("apt dpkg e2fsprogs mmdebstrap squashfs-tools")
    assert not list(programs.iterdir())


def test_without_skopeo_nothing_is_pulled_and_all_else_goes(paths: Paths, programs: Path) -> None:
    found = examine(paths)["registries"]
    assert (found.verdict, found.detail) == (Verdict.WARN, "skopeo is not installed: no image can be pulled")
    assert str(found.mend).endswith("skopeo")
    program(programs, "skopeo")
    assert examine(paths)["registries"].verdict is Verdict.OK


@pytest.mark.parametrize(
    ("helper", "verdict", "detail"),
    [
        ('test "$*" = "--unshare-helper true"', Verdict.OK, "work"),
        ("echo E: unshare failed >&2; exit 1", Verdict.FAIL, "cannot be made: E: unshare failed"),
    ],
)
def test_a_user_builds_where_mmdebstrap_may_make_a_namespace(
    paths: Paths,
    programs: Path,
    monkeypatch: pytest.MonkeyPatch,
    helper: str,
    verdict: Verdict,
    detail: str,
) -> None:
    """It is asked itself: Ubuntu lets it and not ``unshare``, which here is not even there."""
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1000)
    monkeypatch.setattr(doctor, "whoami", lambda: "somebody")
    monkeypatch.setattr(doctor, "SUBORDINATE_IDS", (programs / "ids",))
    (programs / "ids").write_text("somebody:100000:65536\n")
    program(programs, "newuidmap")
    program(programs, "mmdebstrap", helper)
    found = examine(paths)["user-namespaces"]
    assert found.verdict is verdict
    assert detail in found.detail
    assert "sysctl" in str(found.mend) or verdict is Verdict.OK


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
    assert {found[name].mend for name in ("kernel", "images")} == {"sandtop setup"}


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


def test_disks_that_may_take_more_than_there_is(paths: Paths) -> None:
    assert "may take" not in examine(paths)["disk"].detail
    overlay = paths.sandboxes / "box" / "overlay.img"
    overlay.parent.mkdir(parents=True)
    with overlay.open("wb") as file:
        file.truncate(shutil.disk_usage(overlay.parent).total)
    taken = shutil.disk_usage(overlay.parent).total >> 20
    found = examine(paths)["disk"]
    assert f"the disks of its sandboxes may take {taken} MiB" in found.detail
    assert found.verdict is not Verdict.FAIL  # they are sparse


def accelerator(paths: Paths, programs: Path, monkeypatch: pytest.MonkeyPatch, works: Accelerator) -> Finding:
    """What is found where ``works`` is the best that does."""

    async def choose(*_: object, **_options: object) -> Choice:
        return Choice(works, "because it was tried")

    program(programs, "qemu-system-x86_64", "echo QEMU emulator version 7.2.22")

    built = Finding("runtime", Verdict.OK, "built")

    def runtime(*_: object) -> tuple[bool, Finding]:
        return True, built

    monkeypatch.setattr(doctor, "_runtime", runtime)
    image = Image("base", "digest", paths.images / "digest", 1, 0.0, "base")

    def images(_self: GuestStore) -> list[Image]:
        return [image]

    def boot_files(_self: GuestStore, _digest: str) -> BootFiles:
        return BootFiles(paths.cache, paths.cache, paths.cache)

    monkeypatch.setattr(GuestStore, "images", images)
    monkeypatch.setattr(GuestStore, "boot_files", boot_files)
    monkeypatch.setattr(QemuDriver, "choose_accelerator", choose)
    return examine(paths)["accelerator"]


@pytest.mark.parametrize(
    ("kind", "verdict", "says"),
    [
        (Accelerator.TCG, Verdict.WARN, "no security boundary"),
        (Accelerator.KVM, Verdict.OK, "kvm: "),
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
    found = accelerator(paths, programs, monkeypatch, kind)
    assert found.verdict is verdict
    assert found.detail.startswith(kind.value)
    assert says in found.detail
    assert "because it was tried" in found.detail


@pytest.mark.parametrize(
    ("asked", "works", "verdict"),
    [
        ("kvm", Accelerator.KVM, Verdict.OK),
        ("kvm", Accelerator.TCG, Verdict.FAIL),
        ("tcg", Accelerator.KVM, Verdict.WARN),
    ],
)
def test_the_accelerator_that_the_settings_ask_for(
    paths: Paths,
    programs: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    works: Accelerator,
    verdict: Verdict,
) -> None:
    """One that does not work keeps every sandbox from starting, whatever else would."""
    paths.config.mkdir()
    paths.settings.write_text(f'accelerator = "{asked}"\n')
    found = accelerator(paths, programs, monkeypatch, works)
    assert found.verdict is verdict
    assert asked in found.detail
    assert found.mend if verdict is Verdict.FAIL else not found.mend


@pytest.mark.parametrize(
    ("gid", "mend"),
    [
        (0, "give it a group: sudo chgrp kvm "),
        (1, "sudo usermod --append --groups daemon "),
        # in a container the device may be of a group of the host's that has no name here
        (54321, "sudo groupadd --gid 54321 sandtop-kvm && sudo usermod --append --groups sandtop-kvm "),
    ],
)
def test_a_kvm_that_is_not_for_us(monkeypatch: pytest.MonkeyPatch, gid: int, mend: str) -> None:
    class Device:
        def exists(self) -> bool:
            return True

        def stat(self) -> os.stat_result:
            return os.stat_result((0o20660, 0, 0, 1, 0, gid, 0, 0, 0, 0))

        def __fspath__(self) -> str:
            return "/nowhere/kvm"

        __str__ = __fspath__

    monkeypatch.setattr(qemu_doctor, "KVM", Device())
    assert str(qemu_doctor.open_kvm()).startswith(mend)


def test_the_release_of_the_guest(paths: Paths) -> None:
    assert examine(paths)["guest"].detail.startswith("Debian bookworm")
    paths.config.mkdir(exist_ok=True)
    paths.settings.write_text('guest_release = "trixie"\n')
    assert examine(paths)["guest"].detail.startswith("Debian trixie")
    assert doctor.release_of(paths) == "trixie"
    paths.settings.write_text('guest_release = "woody"\n')
    assert doctor.release_of(paths) == "bookworm"


def test_without_debians_keys(paths: Paths, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(archive, "KEYRINGS", (tmp_path / "none",))
    found = examine(paths)["build-tools"]
    assert found.verdict is Verdict.FAIL
    assert found.detail == "not installed: the keys of Debian's archive"
    assert str(found.mend).endswith(" debian-archive-keyring")


def command(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """``sandtop doctor`` on a machine without any program."""
    environment = {
        "PATH": str(tmp_path),
        "SANDTOP_HOME": str(tmp_path / "home"),
        "XDG_RUNTIME_DIR": str(tmp_path),
    }
    return subprocess.run(
        [sys.executable, "-m", "sandtop", "doctor", *options],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_for_programs(tmp_path: Path) -> None:
    done = command(tmp_path, "--json")
    assert (done.returncode, done.stderr) == (125, "")
    report = json.loads(done.stdout)
    assert report["ok"] is False
    assert report["release"] == "bookworm"
    qemu = next(finding for finding in report["findings"] if finding["name"] == "qemu")
    assert qemu["verdict"] == "fail"
    assert qemu["detail"] == "qemu-system-x86_64 is not installed"
    assert "apt-get install" in qemu["mend"]


def test_the_command_for_people(tmp_path: Path) -> None:
    done = command(tmp_path)
    assert done.returncode == 125
    assert done.stderr.startswith(
        "sandtop: no sandbox can start here before this is mended: qemu, build-tools"
    )
    rows = done.stdout.splitlines()
    (at,) = [n for n, row in enumerate(rows) if row.split()[1] == "qemu"]
    assert rows[at].startswith("fail  qemu ")
    assert rows[at + 1].strip().startswith("mend: ")


def test_where_sandtop_cannot_run_that_is_all_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor_command, "here", lambda: Place("darwin", "arm64"))
    assert doctor_command.doctor_main([]) == 125
    said = capfd.readouterr()
    assert said.out.startswith("fail  host             sandtop needs Linux, and this is macOS")
    assert said.out.count("\n") == 1
    assert said.err == "sandtop: no sandbox can start here before this is mended: host\n"
    assert doctor_command.doctor_main(["--json"]) == 125
    assert json.loads(capfd.readouterr().out)["release"] is None
