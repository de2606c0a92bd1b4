"""The virtual machine: QEMU's command line, its process, its monitor, its console; the host and its accelerators.

qemu = find_qemu()
check_memory(spec.memory_mib)
choice = await Accelerators(cache).choose(qemu, trial, progress)
async with start(spec, runtime=…, console_log=…, qemu=qemu.path) as machine:    # leaving leaves it running
    keep(machine.process.identity)
    …
    death = await machine.quit()
remove_runtime(…)
async with adopt(identity, name, runtime=…, console_log=…) as machine:          # a later core
    …
"""

from __future__ import annotations

from sandtop.core.machine.console import tail
from sandtop.core.machine.host import Host, check_memory, look, memory
from sandtop.core.machine.procfs import machines
from sandtop.core.machine.qemu.accelerator import Accelerators, Choice, under_kvm
from sandtop.core.machine.qemu.commandline import CommandLine, Role, command_line
from sandtop.core.machine.qemu.descriptors import remove_runtime
from sandtop.core.machine.qemu.diskerror import DiskError
from sandtop.core.machine.qemu.machine import Machine, adopt, start
from sandtop.core.machine.qemu.probe import Probe, Trial
from sandtop.core.machine.qemu.process import Death, Identity, MachineProcess
from sandtop.core.machine.qemu.program import Qemu, find_qemu
from sandtop.core.machine.qemu.qmp import Event, QmpClient, QmpRefused
from sandtop.core.machine.spec import Accelerator, MachineSpec, Memory, Network, Transport

__all__ = [
    "Accelerator",
    "Accelerators",
    "Choice",
    "CommandLine",
    "Death",
    "DiskError",
    "Event",
    "Host",
    "Identity",
    "Machine",
    "MachineProcess",
    "MachineSpec",
    "Memory",
    "Network",
    "Probe",
    "Qemu",
    "QmpClient",
    "QmpRefused",
    "Role",
    "Transport",
    "Trial",
    "adopt",
    "check_memory",
    "command_line",
    "find_qemu",
    "look",
    "machines",
    "memory",
    "remove_runtime",
    "start",
    "tail",
    "under_kvm",
]
