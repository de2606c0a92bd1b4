"""A real machine with the real agent, its port in the test's hands."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sandtop.agent.wire import PORT_NAME
from sandtop.core import paths
from sandtop.core.guest import KERNEL_ARGS, GuestStore
from sandtop.core.machine.qemu.emulation import accelerated, kernel_arguments

from ..accelerator import chosen
from ..settings import SLOWER
from .core_side import CoreSide

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

MEMORY_MIB = 256
_BOOT = 90.0 * SLOWER
_DISK = 128 << 20


class Guest:
    """A running machine."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self.overlay = folder / "overlay"
        self._folder = folder

    @property
    def console(self) -> str:
        return (self._folder / "console").read_text(errors="replace")

    @contextmanager
    def open(self) -> Generator[CoreSide]:
        """Open the host's side of the port, for as long as the context lasts; no link has begun."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(_BOOT)
            sock.connect(str(self._folder / "agent"))
            yield CoreSide(sock)

    def busy(self) -> float:
        """Seconds of CPU that QEMU has used."""
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100


@contextmanager
def boot(folder: Path) -> Generator[Guest]:
    """A machine of its own in ``folder``, with the disk that an earlier one left there.

    Its agent may not be up yet: the first link waits for it.
    """
    store = GuestStore(paths.find())
    store.prepare()
    kernel, runtime, image = store.kernel(), store.runtime(), store.image("base")
    (folder / "agent").unlink(missing_ok=True)
    if not (folder / "overlay").exists():
        store.create_overlay(folder / "overlay", _DISK)
    arguments = [
        "qemu-system-x86_64", "-M", "q35", *accelerated(chosen()), "-m", str(MEMORY_MIB), "-nodefaults",
        "-smp", "cpus=1,maxcpus=2",  # as the command line of a sandbox has it, for the reason given there
        "-no-user-config", "-no-reboot", "-display", "none", "-kernel", str(kernel.image),
        "-initrd", str(runtime.initrd), "-append", kernel_arguments(" ".join(KERNEL_ARGS), chosen(), 1),
        "-device", "virtio-rng-pci",
        "-serial", f"file:{folder}/console",
        "-chardev", f"socket,id=agent,path={folder}/agent,server=on,wait=off",
        "-device", "virtio-serial-pci", "-device", f"virtserialport,chardev=agent,name={PORT_NAME}",
    ]  # fmt: skip
    for name, path, read_only in (("image", image.path, "on"), ("overlay", folder / "overlay", "off")):
        arguments += ["-drive", f"if=none,id={name},format=raw,file={path},readonly={read_only}"]
        arguments += ["-device", f"virtio-blk-pci,drive={name},serial={name}"]
    with subprocess.Popen(arguments, stdin=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + _BOOT
            while not (folder / "agent").exists():  # QEMU has no other way to say that it listens
                assert process.poll() is None, "QEMU ended"
                assert time.monotonic() < end, "QEMU does not listen"
                time.sleep(0.01)
            yield Guest(process, folder)
        finally:
            process.kill()
