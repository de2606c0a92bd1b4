"""What executes a guest: KVM, or QEMU's emulator TCG with what suits it, its arguments and the guest's kernel's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.machine.spec import Accelerator
from sandtop.core.settings import TRANSLATION_CACHE_MIB

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandtop.core.machine.spec import MachineSpec

TCG_CPU: Final = "max,erms=off,fsrm=off,smap=off,smep=off"
"""All that QEMU emulates, but for two things.

The promise that ``rep movsb`` is fast, which kernel and glibc would take up: there QEMU copies byte by byte. Boot and
two starts of Python: 7.6 s of processor time instead of 9.4 (medians of 3). And SMAP and SMEP, which harden the guest's
kernel against its own programs: with them an exec takes an eighth more. What holds a guest is the emulator.
"""

TCG_ARGUMENTS: Final = "no_timer_check tsc=reliable nokaslr mitigations=off init_on_alloc=0"
"""Kernel arguments for an emulated machine.

The first two are for a busy host, where its processors stand still for a while.

The kernel tests its timer against the wall clock, and the time stamp counter against another clock. Of 10 guests
that booted at once on 2 cores, 6 found the timer broken, one of those panicked ("IO-APIC + timer doesn't work"), and
at least 4 fell back to a clock that costs an exit per reading (acpi_pm); with these two, 10 of 10 booted on the tsc.

The third because a kernel that moves itself to a random address takes more to boot. The fourth because there is no
speculation to mitigate. The last because Debian's kernel clears all memory that it takes for itself, where it is about
to fill it anyway; what programs get is cleared in any case. With that an exec of /bin/true took a tenth more processor
time. Guests under emulation do without that hardening: QEMU does not call TCG a security boundary.
"""

TCG_FIXED: Final = " norandmaps"
"""The argument for a QEMU that finds translated code again by its virtual address: see `Qemu.finds_code_by_address`.

With programs and libraries at other addresses each time, every exec of /bin/true translated 1.3 MB of code anew under
QEMU 7.2: 77 ms of processor time instead of 28. Guests there do without that hardening.
"""

TCG_SINGLE: Final = " nr_cpus=1"
"""The argument for a single processor: the kernel then leaves its locks out, which saves a few per cent."""


@dataclass(frozen=True, slots=True)
class Emulation:
    """How TCG is set up.

    Attributes:
        cache_mib: its cache of translated code. QEMU's own default is an eighth of the host's memory, at most 1 GiB.
        fixed_addresses: programs and libraries are always at the same addresses in the guest (``norandmaps``).
    """

    cache_mib: int = TRANSLATION_CACHE_MIB
    fixed_addresses: bool = True


EMULATION: Final = Emulation()
"""What suits every QEMU."""


def accelerated(accelerator: Accelerator, emulation: Emulation = EMULATION) -> list[str]:
    """What executes the guest, and the processor that it sees."""
    if accelerator is Accelerator.KVM:
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", f"tcg,thread=multi,tb-size={emulation.cache_mib}", "-cpu", TCG_CPU]


def translation_cache_mib(arguments: Iterable[str]) -> int | None:
    """The size of TCG's cache of translated code on this command line; None under KVM."""
    found = re.search(r"\btb-size=(\d+)", " ".join(arguments))
    return int(found[1]) if found else None


def kernel_arguments(
    arguments: str,
    accelerator: Accelerator,
    cpus: int,
    emulation: Emulation = EMULATION,
) -> str:
    """``arguments`` for the guest's kernel, and what the accelerator wants to have with them."""
    if accelerator is Accelerator.KVM:
        return arguments
    fixed = TCG_FIXED if emulation.fixed_addresses else ""
    return f"{arguments} {TCG_ARGUMENTS}{fixed}{TCG_SINGLE if cpus == 1 else ''}".lstrip()


def processors(spec: MachineSpec) -> str:
    """The value of ``-smp``."""
    if spec.accelerator is Accelerator.TCG and spec.cpus == 1:
        # One that could be plugged in and never is. For a machine with a single processor QEMU before 8.1 translates no
        # memory barriers ("tcg: Do not elide memory barriers for !CF_PARALLEL in system mode"), as if its own threads,
        # which serve the virtio queues, did not share that memory: an interrupt or a kick is then lost once in a while,
        # and with it the channel or a disk stands still. `TCG_SINGLE` keeps the kernel one for a single processor.
        return "cpus=1,maxcpus=2,sockets=1,cores=2,threads=1"
    return f"cpus={spec.cpus},sockets=1,cores={spec.cpus},threads=1"
