"""What `doctor` says of QEMU, of its accelerators, and of what carries the agent's bytes on this host."""

from __future__ import annotations

import grp
import os
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.errors import SandtopError
from sandtop.core.findings import Finding, Verdict, whoami
from sandtop.core.machine.qemu import vsockdiag
from sandtop.core.machine.qemu.program import PACKAGE, find_qemu
from sandtop.core.machine.qemu.users import KVM
from sandtop.core.machine.spec import Accelerator, Channel
from sandtop.core.place import how_to_install

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.machine.driver import Driver
    from sandtop.core.machine.records import Choice, Trial

_ACCELERATOR: Final = "accelerator"


def program() -> Finding:
    """QEMU, with its version."""
    try:
        found = find_qemu()
    except SandtopError as error:
        return Finding("qemu", Verdict.FAIL, error.message, how_to_install(PACKAGE))
    return Finding("qemu", Verdict.OK, f"{found.version}, {found.path}")


def accelerator(driver: Driver, trial: Trial | None, asked: str, settings: Path) -> Finding:
    """Whether KVM runs a guest here, by a look that is as fresh as need be: a kept "no" is not believed."""
    tcg = "tcg, QEMU's emulation: slow, and no security boundary in QEMU's own words."
    missing = program().verdict is Verdict.FAIL
    if missing or trial is None:
        lacks = "QEMU is" if missing else "kernel, runtime and an image are"
        return Finding(_ACCELERATOR, Verdict.WARN, f"not known before {lacks} there")
    if asked == "tcg":
        return Finding(_ACCELERATOR, Verdict.WARN, f"{tcg} {settings} asks for it")
    try:
        choice = trio.run(_choose, driver, trial)
    except SandtopError as error:
        return Finding(_ACCELERATOR, Verdict.FAIL, error.message, error.hint)
    if choice.accelerator is Accelerator.KVM:
        return Finding(_ACCELERATOR, Verdict.OK, f"kvm: {choice.reason}")
    if asked == "kvm":
        mend = open_kvm() or f'accelerator = "auto" in {settings}'
        return Finding(_ACCELERATOR, Verdict.FAIL, f"{settings} asks for kvm. {choice.reason}", mend)
    return Finding(_ACCELERATOR, Verdict.WARN, f"{tcg} {choice.reason}", open_kvm())


async def _choose(driver: Driver, trial: Trial) -> Choice:
    return await driver.choose_accelerator(trial, lambda _line: None, again=True)


def open_kvm() -> str | None:
    """How to be let at a /dev/kvm that a group may open; None where that is not what is missing."""
    if not KVM.exists() or os.access(KVM, os.R_OK | os.W_OK):
        return None
    if KVM.stat().st_gid == 0:
        return f"give it a group: sudo chgrp kvm {KVM} && sudo chmod 660 {KVM}"
    gid = KVM.stat().st_gid
    try:
        group, first = grp.getgrgid(gid).gr_name, ""
    except KeyError:  # in a container: the device is the host's, with the host's group
        group, first = "sandtop-kvm", f"sudo groupadd --gid {gid} sandtop-kvm && "
    return f"{first}sudo usermod --append --groups {group} {whoami()}, then log in anew"


def channel(driver: Driver) -> Finding:
    """What machines are started with, and why; a warning where a vsock that was asked for opens more than the agent."""
    try:
        choice = driver.choose_channel()
    except SandtopError as error:
        return Finding("channel", Verdict.FAIL, error.message, error.hint)
    if choice.channel is Channel.VSOCK and (exposed := vsockdiag.exposed()) is not None:
        mend = 'channel = "auto" in config.toml takes virtio-serial on such a host'
        return Finding("channel", Verdict.WARN, f"vsock; {choice.reason}, but {exposed}", mend)
    return Finding("channel", Verdict.OK, f"{choice.channel.value}; {choice.reason}")
