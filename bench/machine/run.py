"""``just bench machine``: QEMU's machine types q35 and microvm by a cold boot and what an idle machine costs, in pairs.

    python bench/machine/run.py [--rounds N] [--idle SECONDS] [--accelerator kvm|tcg] [--json FILE]

QEMU runs behind a script that puts another machine type, or another argument of the kernel, in the place of the one in
the core's command line. Besides times there are KVM's own counts of how often the guest's processor was left, which are
the same on a busy host. ``just nested python bench/machine/run.py`` measures on a host where KVM works, itself
emulated: times mean nothing there but as ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import trio

sys.path.insert(0, str(Path(__file__).parents[2]))  # this is run as a script, and imports what lies beside it

from bench.processes import cpu_seconds, private_mib

from sandtop.core import paths
from sandtop.core.guest import KERNEL_ARGS, GuestStore
from sandtop.core.machine.qemu.machine import start
from sandtop.core.machine.qemu.program import find_qemu
from sandtop.core.machine.spec import Accelerator, MachineSpec

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from sandtop.core.machine.qemu.machine import QemuMachine

_MICROVM: Final = (
    "type=microvm,memory-backend=ram,pcie=on,acpi=on,pit=off,pic=off,rtc=off,isa-serial=off,usb=off,"
    "auto-kernel-cmdline=off,x-option-roms=off,dump-guest-core=off,mem-merge=off"
)
"""With PCI and ACPI, so that the devices are those of q35 and the guest can switch itself off."""
_VARIANTS: Final = {
    Accelerator.KVM: {
        "q35": "",
        "q35, nokaslr": "s/ panic=-1 / panic=-1 nokaslr /",
        "microvm": f"s/^type=q35,.*/{_MICROVM}/",
    },
    # microvm does not boot: its kernel finds nothing to measure the time stamp counter by, and hangs
    Accelerator.TCG: {"q35": "", "q35, kaslr": "s/ nokaslr / /"},
}
"""Programs of sed(1) for the words of QEMU's command line."""
_SCRIPT: Final = """#!/bin/sh
for word do
    shift
    case $word in
        type=q35,* | console=*) word=$(echo "$word" | sed '{edit}') ;;
    esac
    set -- "$@" "$word"
done
exec {qemu} "$@"
"""
_COUNTS: Final[tuple[str, ...]] = ("exits", "io_exits", "mmio_exits", "irq_injections", "insn_emulation")

Series = defaultdict[str, list[float]]


async def _counts(machine: QemuMachine) -> dict[str, float]:
    """KVM's counts of the guest's processors; empty under emulation."""
    if "kvm" not in machine.process.arguments:
        return {}
    names = {"provider": "kvm", "names": list(_COUNTS)}
    answer = await machine.monitor.execute("query-stats", target="vcpu", providers=[names])
    found: dict[str, float] = dict.fromkeys(_COUNTS, 0.0)
    for vcpu in cast("list[dict[str, list[dict[str, object]]]]", answer):
        for stat in vcpu["stats"]:
            found[str(stat["name"])] += cast("int", stat["value"])
    return found


class Bench:
    """One host, and machines on it that boot the sandboxes' guest."""

    def __init__(self, folder: Path, accelerator: Accelerator) -> None:
        self._folder, self.accelerator = folder, accelerator
        self._store = GuestStore(paths.find())
        self._store.prepare()
        self._programs = {
            name: self._program(number, name) for number, name in enumerate(_VARIANTS[accelerator])
        }

    def _program(self, number: int, name: str) -> Path:
        path = self._folder / f"qemu-{number}"
        path.write_text(_SCRIPT.format(edit=_VARIANTS[self.accelerator][name], qemu=find_qemu().path))
        path.chmod(0o755)
        return path

    @asynccontextmanager
    async def _started(self, variant: str) -> AsyncGenerator[QemuMachine]:
        store, overlay = self._store, self._folder / "overlay"
        overlay.unlink(missing_ok=True)
        store.create_overlay(overlay, 256 << 20)
        spec = MachineSpec(
            uuid=str(uuid.uuid4()), name="bench", kernel=store.kernel().image, initramfs=store.runtime().initrd,
            image=store.image("base").path, overlay=overlay, arguments=" ".join(KERNEL_ARGS), memory_mib=512,
            accelerator=self.accelerator,
        )  # fmt: skip
        runtime = self._folder / "m"
        async with start(
            spec, runtime=runtime, console_log=self._folder / "console", qemu=self._programs[variant]
        ) as machine:
            try:
                yield machine
            finally:
                with trio.CancelScope(shield=True):
                    await machine.kill()

    async def measure(self, variant: str, idle: float) -> dict[str, float]:
        """A boot until the agent's port is open, then so many seconds with nothing to do."""
        begun = time.perf_counter()
        async with self._started(variant) as machine:
            pid = machine.identity.pid
            with trio.fail_after(600):
                await machine.ready()
            found = {"boot, s": time.perf_counter() - begun, "boot, s of processor": cpu_seconds(pid)}
            found |= {f"boot, {name}": count for name, count in (await _counts(machine)).items()}
            if not idle:
                return found
            await trio.sleep(idle / 2)
            before, used, since = await _counts(machine), cpu_seconds(pid), time.perf_counter()
            await trio.sleep(idle)
            took = time.perf_counter() - since
            found["idle, % of a processor"] = 100 * (cpu_seconds(pid) - used) / took
            after = await _counts(machine)
            found |= {f"idle, {name} / s": (after[name] - before[name]) / took for name in before}
            found["private memory, MiB"] = private_mib(pid)
        return found


async def _main(folder: Path, options: argparse.Namespace) -> dict[str, Series]:
    bench = Bench(folder, Accelerator(options.accelerator))
    found = {variant: Series(list) for variant in _VARIANTS[bench.accelerator]}
    for turn in range(options.rounds):
        for variant, series in found.items():
            # every second boot is looked at when idle: that takes longer than the boot
            for name, value in (await bench.measure(variant, options.idle if turn % 2 == 0 else 0)).items():
                series[name].append(value)
            print(variant, {name: round(values[-1], 2) for name, values in series.items()}, flush=True)
    return found


def _report(found: dict[str, Series]) -> str:
    lines = [f"{'medians':<28}" + "".join(f"{variant:>14}" for variant in found)]
    for name, first in found["q35"].items():
        values = [statistics.median(series[name]) for series in found.values()]
        lines.append(f"{name:<28}" + "".join(f"{value:14.2f}" for value in values) + f"   n {len(first)}")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--idle", type=float, default=10.0)
    parser.add_argument("--accelerator", choices=["kvm", "tcg"], default="kvm")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sandtop-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # QEMU, which has a uid of its own, runs a script in it
        found = trio.run(_main, folder, options)
    print(f"\n{_report(found)}")
    if options.json:
        options.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
