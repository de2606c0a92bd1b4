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

from sandtop.core.machine.accelerator import Accelerators, Choice, under_kvm
from sandtop.core.machine.commandline import CommandLine, Role, command_line
from sandtop.core.machine.console import tail
from sandtop.core.machine.descriptors import remove_runtime
from sandtop.core.machine.diskerror import DiskError
from sandtop.core.machine.host import Host, Qemu, check_memory, find_qemu, look, memory
from sandtop.core.machine.machine import Machine, adopt, start
from sandtop.core.machine.probe import Probe, Trial
from sandtop.core.machine.process import Death, Identity, MachineProcess
from sandtop.core.machine.procfs import machines
from sandtop.core.machine.qmp import Event, QmpClient, QmpRefused
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
