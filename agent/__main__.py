"""Process 1 of a sandbox's machine: the runtime's init execs ``python3 -m sandtop.agent --root /sandbox``."""

from __future__ import annotations

import time

_BEGUN = time.clock_gettime(time.CLOCK_BOOTTIME)  # before the imports, which take most of the agent's start

import gc  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402
import sys  # noqa: E402

from .cgroups import Cgroups  # noqa: E402
from .device import Device  # noqa: E402
from .loop import Loop  # noqa: E402
from .machine import Machine, egress_of, furnish, resolver  # noqa: E402
from .port import Port, wait_for_host  # noqa: E402
from .reaper import Reaper  # noqa: E402
from .service import Service  # noqa: E402
from .session import Host  # noqa: E402
from .shutdown import Shutdown, force_off, power_off  # noqa: E402
from .thrashing import Thrashing  # noqa: E402
from .vsock import HOST_CID, Door, listen  # noqa: E402
from .wire import Outbox  # noqa: E402

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable
    from mmap import mmap
    from types import TracebackType
    from typing import Final

    from .egress.wayout import WayOut

DESCRIPTORS: Final = (8192, 524_288)
"""Limits of open files, soft and hard. The soft one is enough for `MAX_SESSIONS` sessions; the hard one is passed on to
programs, and is systemd's."""
_MAP_LOCKED: Final = 0x2000  # asm-generic/mman.h; not in mmap
_IMPORTED = time.clock_gettime(time.CLOCK_BOOTTIME)


def run(root: str, *, hold: bool = False, prepare: bool = False) -> None:
    """Be the agent of the sandbox that is mounted on ``root``. Returns only by an exception.

    The port is opened last, which tells the host that the agent is ready and this machine can be saved as a template.
    With ``hold`` the sandbox's disk is not mounted yet: the port is opened first, and the disk mounted when a core has
    opened the port's other end. So a template that was saved in between can be used with any disk. With ``prepare``
    this machine becomes a template with a disk.

    The vsock port, where this machine has one, is bound before all that: no program of the sandbox can be faster.
    """
    os.setsid()
    _kept = keep("/proc/self/exe", os.path.realpath(sys.executable))
    runtime = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    devices = os.open("/dev", os.O_RDONLY | os.O_DIRECTORY)
    furnish()
    machine = Machine(devices, resolver=resolver())
    device, port, door = Device(runtime), -1, listen(log)
    way_out = find_way_out()
    if hold:
        port = device.open()
        wait_for_host(port)
        mount_root()
    null = os.open("/dev/null", os.O_RDWR)
    os.chroot(root)
    os.chdir("/")
    os.umask(0o022)
    resource.setrlimit(resource.RLIMIT_NOFILE, DESCRIPTORS)
    # A program that runs is then not interrupted by each event that wakes the agent, and the agent handles all events
    # together when its turn comes: two context switches fewer an exec.
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    loop = Loop()
    host = Host(loop, Outbox(), Reaper(loop), Cgroups(loop), null, runtime, root)
    watch_memory(host)
    if prepare:
        host.cgroups.stock()
        machine.prepare()
        os.sync()  # else all that go on from this machine write that to their disks
    gc.collect()
    gc.freeze()  # all objects that exist now stay, and later collections need not visit them
    if not hold:
        port = device.open()
    serve(host, port, machine, lambda: power_off(runtime), device, door, way_out=way_out)


def find_way_out() -> WayOut | None:
    """The way out of this machine, where its kernel was told that it has one. Raises OSError."""
    with open("/proc/cmdline", "rb") as file:
        addresses = egress_of(file.read())
    if addresses is None:
        return None
    from .egress.wayout import make_way_out  # it imports ctypes, which few machines need

    return make_way_out(*addresses)


def keep(running: str, own: str) -> mmap | None:
    """Lock the interpreter ``running`` into memory, and remove the runtime's ``own``. None where they are one file.

    The runtime's files are in memory as long as they exist; those of the image are read from its disk, again and again
    on a machine without memory to spare. The pages stay as long as what is returned. Raises OSError.
    """
    if os.path.samefile(running, own):
        return None
    import mmap

    flags = mmap.MAP_PRIVATE | mmap.MAP_POPULATE | _MAP_LOCKED
    with open(running, "rb") as file:
        kept = mmap.mmap(file.fileno(), 0, flags=flags, prot=mmap.PROT_READ)
    os.unlink(own)
    return kept


def watch_memory(host: Host) -> None:
    """End what thrashes. A kernel without what that takes is left to itself."""
    try:
        Thrashing(host.loop, host.cgroups)
    except OSError as error:
        log(f"programs that thrash are not ended: {error}")


def serve(
    host: Host,
    port: int,
    machine: Machine,
    turn_off: Callable[[], None],
    device: Device | None = None,
    listener: socket | None = None,
    host_cid: int = HOST_CID,
    *,
    way_out: WayOut | None = None,
) -> None:
    """Serve cores on ``port``, a nonblocking descriptor of ``device``, and on a vsock ``listener``.

    There ``host_cid`` alone is served. ``way_out``: this machine's, where it has one. Returns only by an exception.
    """
    shutdown = Shutdown(host.loop, host.cgroups, turn_off)
    service = Service(host, machine, shutdown, log, timings(), way_out)
    link = Port(host.loop, port, host.outbox, service, device)
    service.drop, host.loop.after_turn = link.drop, link.flush
    service.mounted = link.be_patient
    if listener is not None:
        door = Door(host.loop, listener, link, host.outbox, service, host_cid)
        service.drop, host.loop.after_turn = door.drop, door.flush
    host.loop.run()


def mount_root() -> None:
    """Have init mount the sandbox's disk and all that belongs to it, or turn the machine off. Raises OSError."""
    pid = os.posix_spawn("/bin/busybox", ["busybox", "sh", "/init", "root"], {})
    if os.waitpid(pid, 0)[1] != 0:
        raise OSError("the sandbox's disk could not be mounted")


def timings() -> dict[str, int]:
    """Milliseconds from the kernel's start to each stage of the boot: init's, from the environment, and the agent's."""
    stages: dict[str, int] = {}
    for stage in os.environ.get("SANDTOP_BOOT", "").split():
        name, _, seconds = stage.partition("=")
        whole, _, hundredths = seconds.partition(".")
        if whole.isdecimal() and hundredths.isdecimal():
            stages[name] = int(float(seconds) * 1000)
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    for name, at in (("python", _BEGUN), ("imports", _IMPORTED), ("ready", now)):
        stages[name] = int(at * 1000)
    return stages


def log(line: str) -> None:
    """Write ``line`` to the console, which is this process's stderr."""
    try:
        os.write(2, f"sandtop-agent: {line}\n".encode("utf-8", "replace"))
    except OSError:
        return  # there is nowhere else to write it


def fatal(error: BaseException) -> None:
    """Write ``error`` and its traceback to the console and turn the machine off, since process 1 must not end."""
    log(f"fatal: {type(error).__name__}: {error}")
    trace: TracebackType | None = error.__traceback__
    lines: list[str] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        lines.append(f"  {code.co_filename}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    for line in lines[-8:]:
        log(line)
    if os.getpid() == 1:
        force_off()


def main(arguments: list[str]) -> int:
    """Run the agent. Returns, with an exit status, only for wrong arguments or in a process that is not process 1."""
    where, how = arguments[:2], arguments[2:]
    if len(where) != 2 or where[0] != "--root" or how not in ([], ["--hold"], ["--prepare"]):
        log("usage: python3 -m sandtop.agent --root FOLDER [--hold | --prepare]")
        return 2
    try:
        run(where[1], hold=how == ["--hold"], prepare=how == ["--prepare"])
    except BaseException as error:  # the boundary: nothing may leave process 1
        fatal(error)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
