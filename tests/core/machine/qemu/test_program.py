"""QEMU's program: found, of a version that is new enough, or named as missing with what mends that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandtop.core.errors import MissingDependency
from sandtop.core.machine.qemu.program import Qemu, find_qemu

if TYPE_CHECKING:
    from pathlib import Path


def test_qemu_is_found_with_its_version(qemu: Qemu) -> None:
    assert qemu.path.is_absolute()
    assert qemu.version[0].isdecimal()


@pytest.mark.parametrize(
    ("version", "release", "by_address"),
    [
        ("7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)", (7, 2), True),
        ("8.2.2 (Debian 1:8.2.2+ds-0ubuntu1)", (8, 2), True),
        ("9.0.0", (9, 0), False),
        ("10.0.2 (Debian 1:10.0.2+ds-2+deb13u1)", (10, 0), False),
    ],
)
def test_what_follows_from_its_version(
    version: str,
    release: tuple[int, int],
    by_address: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    program = tmp_path / "qemu-system-x86_64"
    program.write_text(f"#!/bin/sh\necho 'QEMU emulator version {version}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_qemu()
    assert (found.version, found.release, found.finds_code_by_address) == (version, release, by_address)


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
