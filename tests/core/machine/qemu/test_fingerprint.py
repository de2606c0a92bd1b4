"""What of a machine's spec makes a snapshot of it useless to another."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from sandtop.core.machine import Accelerator, MachineSpec, Memory, Network
from sandtop.core.machine.qemu.driver import QemuDriver

SPEC = MachineSpec(
    uuid="6b9c3a50-0f3a-4c5e-9f0e-0a4f6f2f7a11",
    name="box",
    kernel=Path("/cache/kernel"),
    initramfs=Path("/cache/initrd"),
    image=Path("/cache/image"),
    overlay=Path("/data/overlay"),
    arguments="quiet",
    memory=Memory(Path("/memory")),
)


@pytest.fixture
def driver(tmp_path: Path) -> QemuDriver:
    return QemuDriver(tmp_path)


def test_sandboxes_of_one_shape_have_the_same(driver: QemuDriver) -> None:
    other = replace(
        SPEC,
        uuid=str(uuid.uuid4()),
        name="other",
        overlay=Path("/data/other"),
        memory=Memory(Path("/proc/self/fd/17")),
    )
    assert driver.fingerprint(other) == driver.fingerprint(SPEC)


@pytest.mark.parametrize(
    "change",
    [
        {"memory_mib": 513},
        {"cpus": 2},
        {"arguments": "quiet sandtop.template=later"},
        {"network": Network.USER},
        {"network": Network.USER_AND_LOOPBACK},
        {"accelerator": Accelerator.KVM},
    ],
)
def test_another_machine_has_another(driver: QemuDriver, change: dict[str, object]) -> None:
    other = replace(SPEC, **change)  # type: ignore[arg-type]
    assert driver.fingerprint(other) != driver.fingerprint(SPEC)


def test_another_translation_cache_has_another(driver: QemuDriver, tmp_path: Path) -> None:
    assert QemuDriver(tmp_path, translation_cache_mib=128).fingerprint(SPEC) != driver.fingerprint(SPEC)


def test_under_kvm_the_hosts_processor_is_in_it(driver: QemuDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    kvm = replace(SPEC, accelerator=Accelerator.KVM)
    here, emulated = driver.fingerprint(kvm), driver.fingerprint(SPEC)
    monkeypatch.setattr("sandtop.core.machine.qemu.driver._host_cpu", lambda: "another processor")
    assert driver.fingerprint(kvm) != here
    assert driver.fingerprint(SPEC) == emulated
