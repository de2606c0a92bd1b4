"""Sandboxes under KVM, on hosts where it works: that it is chosen, that it is KVM, what its QEMU may do.

`just nested test` has such a host. Elsewhere these are skipped, and all other tests run their machines emulated.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.accelerator import chosen
from tests.settings import accelerator, channel

from sandtop.core import paths
from sandtop.core.machine import Accelerator
from sandtop.core.machine.registry import driver_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Home


@pytest.fixture(scope="module", autouse=True)
def _kvm_works() -> None:
    if chosen() is not Accelerator.KVM:
        pytest.skip("KVM does not work here")


@pytest.fixture
def name(home: Home) -> Iterator[str]:
    """Of a sandbox that a test makes."""
    yield "virtual"
    home.do("rm", "--force", "virtual")


def machine(home: Home, name: str) -> dict[str, Any]:
    """What ``inspect`` shows of its machine."""
    found: dict[str, Any] = json.loads(home.do("inspect", "--json", name))["machine"]
    return found


def detected(home: Home, name: str) -> bool:
    """Whether the guest's kernel found that it runs under KVM."""
    return b"Hypervisor detected: KVM" in home.do("exec", name, "--", "dmesg")


def carrier() -> str:
    """The channel that machines get on this host with these settings."""
    return driver_for(paths.find(), channel()).choose_channel().channel.value


@pytest.mark.skipif(
    accelerator() == "kvm", reason="KVM is asked for here: its trial may have had no answer in time"
)
def test_doctor_says_so(home: Home) -> None:
    said = home.do("doctor", "--json")
    findings = {each["name"]: each for each in json.loads(said)["findings"]}
    assert findings["accelerator"]["verdict"] == "ok"
    assert findings["accelerator"]["detail"].startswith("kvm: ")
    assert findings["channel"]["verdict"] == "ok"
    assert findings["channel"]["detail"].startswith(f"{carrier()}; ")


@pytest.mark.parametrize("cold", [False, True])
def test_kvm_is_what_a_sandbox_gets(home: Home, name: str, cold: bool) -> None:
    home.do("create", name, *(["--cold"] if cold else []))
    spec = machine(home, name)["spec"]
    assert (spec["accelerator"], spec["transport"], spec["restored"]) == ("kvm", carrier(), not cold)
    assert detected(home, name)


def test_qemu_may_do_no_more_than_under_emulation(home: Home, name: str) -> None:
    home.do("create", name)
    pid = home.box(name)["pid"]
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
    device = Path("/dev/kvm").stat()
    assert "0" not in status["Uid"]
    assert status["Groups"] == ([] if device.st_mode & 0o006 == 0o006 else [str(device.st_gid)])
    assert (status["CapEff"], status["Seccomp"], status["NoNewPrivs"]) == (["0" * 16], ["2"], ["1"])


def test_the_guest_has_the_hardening_that_emulation_goes_without(home: Home, name: str) -> None:
    home.do("create", name)
    words = home.do("exec", name, "--", "cat", "/proc/cmdline").decode().split()
    assert {
        "nokaslr",
        "norandmaps",
        "mitigations=off",
        "tsc=reliable",
        "no_timer_check",
        "init_on_alloc=0",
    }.isdisjoint(words)
    assert home.do("exec", name, "--", "cat", "/proc/sys/kernel/randomize_va_space") == b"2\n"
