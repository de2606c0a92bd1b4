"""The command line as data: a pure function of the spec."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtop.core.errors import InvalidRequest
from sandtop.core.machine import Accelerator, MachineSpec, Network
from sandtop.core.machine.qemu.commandline import CommandLine, Role, command_line
from sandtop.core.machine.qemu.emulation import TCG_ARGUMENTS, Emulation, translation_cache_mib

SPEC = MachineSpec(
    uuid="0e5a9a4c-93a4-4a58-a5d0-4d1b1f6f0a01",
    name="box, if=evil",
    kernel=Path("/secret, path/kernel"),
    initramfs=Path("/secret, path/initramfs"),
    image=Path("/secret, path/image"),
    overlay=Path("/secret, path/overlay"),
    arguments="console=ttyS0 quiet",
)
RUNTIME = Path("/secret, path/run")


def line(spec: MachineSpec) -> CommandLine:
    return command_line(spec, RUNTIME)


def after(command: CommandLine, option: str) -> list[str]:
    """The values of each ``option``."""
    return [value for flag, value in zip(command.argv, command.argv[1:], strict=False) if flag == option]


def test_it_is_confined_and_named_by_its_uuid() -> None:
    command = line(SPEC)
    sandbox = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
    assert after(command, "-sandbox") == [sandbox]
    assert {"-nodefaults", "-no-user-config", "-no-reboot", "-S"} <= set(command.argv)
    assert after(command, "-uuid") == [SPEC.uuid]
    assert SPEC.uuid in after(command, "-name")[0]
    assert after(command, "-mon") == ["chardev=qmp,mode=control"]


@given(path=st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1))
def test_no_path_and_no_name_of_the_user_is_parsed_by_qemu(path: str) -> None:
    folder = Path("/") / path / "unmistakable"
    spec = replace(
        SPEC, name=path + "unmistakable", kernel=folder, initramfs=folder, image=folder, overlay=folder
    )
    command = command_line(spec, folder)
    assert "unmistakable" not in "".join(command.argv)
    paths = [(d.role, d.path) for d in command.descriptors if d.path is not None]
    assert {path.parent if role.is_socket else path for role, path in paths} == {folder}
    assert command.argv == command_line(replace(SPEC, name="other"), RUNTIME).argv


def test_a_network_only_when_asked_for() -> None:
    assert not any("net" in word for word in line(SPEC).argv)
    asked = line(replace(SPEC, network=Network.USER_AND_LOOPBACK, ipv6=True))
    assert after(asked, "-netdev") == ["user,id=net,restrict=off"]
    without = line(replace(SPEC, network=Network.USER_AND_LOOPBACK))
    assert after(without, "-netdev") == ["user,id=net,restrict=off,ipv6=off"]


def test_a_network_that_leaves_the_hosts_loopback_out_has_a_filter_before_it() -> None:
    asked = line(replace(SPEC, network=Network.USER))
    ends = {d.role: d for d in asked.descriptors if d.path is None}
    device, network = ends.pop(Role.DEVICE_FRAMES), ends.pop(Role.NETWORK_FRAMES)
    assert not ends
    assert after(asked, "-netdev") == [
        f"dgram,id=net,local.type=fd,local.str={device.number}",
        f"dgram,id=filtered,local.type=fd,local.str={network.number}",
        "user,id=user,restrict=off,ipv6=off",
        "hubport,id=hub-filtered,hubid=0,netdev=filtered",
        "hubport,id=hub-user,hubid=0,netdev=user",
    ]
    described = json.loads(json.dumps(asked.to_json()))["descriptors"]
    assert [(d["kind"], d["path"]) for d in described if d["number"] in (device.number, network.number)] == [
        ("socket pair", ""), ("socket pair", "")
    ]  # fmt: skip
    assert "user,id=user,restrict=off" in after(
        line(replace(SPEC, network=Network.USER, ipv6=True)), "-netdev"
    )


def test_only_the_overlay_is_writable() -> None:
    described = json.loads(json.dumps(line(SPEC).to_json()))
    assert [d["role"] for d in described["descriptors"] if d["writable"]] == ["overlay"]
    assert {d["role"] for d in described["descriptors"] if d["kind"] == "socket"} == {
        "qmp",
        "console",
        "agent",
    }
    assert "read-only=on" in next(v for v in after(line(SPEC), "-blockdev") if "node-name=image," in v)


def test_the_accelerators_bring_their_processor() -> None:
    assert after(line(SPEC), "-accel") == ["tcg,thread=multi,tb-size=62"]
    assert after(line(SPEC), "-append") == [f"console=ttyS0 quiet {TCG_ARGUMENTS} norandmaps nr_cpus=1"]
    two = line(replace(SPEC, cpus=2))
    assert after(two, "-append") == [f"console=ttyS0 quiet {TCG_ARGUMENTS} norandmaps"]
    assert after(two, "-smp") == ["cpus=2,sockets=1,cores=2,threads=1"]
    # with one alone QEMU 7.2 leaves memory barriers out
    assert after(line(SPEC), "-smp") == ["cpus=1,maxcpus=2,sockets=1,cores=2,threads=1"]
    kvm = line(replace(SPEC, accelerator=Accelerator.KVM))
    assert after(kvm, "-append") == ["console=ttyS0 quiet"]
    assert (after(kvm, "-accel"), after(kvm, "-cpu")) == (["kvm"], ["host"])


def test_an_emulation_has_its_own_cache_and_randomised_addresses_where_they_cost_nothing() -> None:
    emulation = Emulation(cache_mib=128, fixed_addresses=False)
    command = command_line(SPEC, RUNTIME, emulation=emulation)
    assert after(command, "-accel") == ["tcg,thread=multi,tb-size=128"]
    assert after(command, "-append") == [f"console=ttyS0 quiet {TCG_ARGUMENTS} nr_cpus=1"]
    assert translation_cache_mib(command.argv) == 128
    kvm = replace(SPEC, accelerator=Accelerator.KVM)
    assert command_line(kvm, RUNTIME, emulation=emulation) == line(kvm)
    assert translation_cache_mib(line(kvm).argv) is None


def test_the_numbers_given_are_the_numbers_used() -> None:
    shown = line(SPEC)
    numbers = {d.role: d.number + 40 for d in shown.descriptors}
    command = command_line(SPEC, RUNTIME, numbers=numbers)
    assert {d.role: d.number for d in command.descriptors} == numbers
    used = " ".join(command.argv)
    for role, number in numbers.items():
        assert (f"fd={number}," in used) or (f"/proc/self/fd/{number}" in used), role
    assert [d.number for d in shown.descriptors] == list(range(3, 10))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("uuid", "not-a-uuid"),
        ("uuid", SPEC.uuid.upper()),
        ("memory_mib", 7),
        ("cpus", 0),
        ("cpus", 65),
        ("arguments", "quiet\n-drive"),
    ],
)
def test_values_that_no_machine_can_have(field: str, value: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        replace(SPEC, **{field: value})  # type: ignore[arg-type]
    assert caught.value.sandbox == SPEC.name


def test_a_spec_is_json() -> None:
    shown = json.loads(json.dumps(SPEC.to_json()))
    assert shown["kernel"] == str(SPEC.kernel)
    assert shown["accelerator"] == "tcg"
