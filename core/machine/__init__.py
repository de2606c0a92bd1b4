"""Virtual machines: what one is made of, what a driver of machines offers, and what this host has for them.

Which driver there is says `core.machine.registry`; `core.machine.driver` shows how one is used.
"""

from __future__ import annotations

from sandtop.core.machine.driver import Driver, Machine
from sandtop.core.machine.host import check_memory, host_memory, reaches_ipv6
from sandtop.core.machine.records import (
    ChannelChoice,
    Choice,
    Death,
    Disk,
    DiskError,
    GuestNetwork,
    Identity,
    Info,
    Running,
    Trial,
    Usage,
    Version,
)
from sandtop.core.machine.spec import WITHOUT_KVM, Accelerator, Channel, MachineSpec, Memory, Network

__all__ = [
    "WITHOUT_KVM",
    "Accelerator",
    "Channel",
    "ChannelChoice",
    "Choice",
    "Death",
    "Disk",
    "DiskError",
    "Driver",
    "GuestNetwork",
    "Identity",
    "Info",
    "Machine",
    "MachineSpec",
    "Memory",
    "Network",
    "Running",
    "Trial",
    "Usage",
    "Version",
    "check_memory",
    "host_memory",
    "reaches_ipv6",
]
