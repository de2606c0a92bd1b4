"""Process 1 of a sandbox's machine: ``python3 -m sandtop.agent --root /sandbox``, from the runtime's init."""

from __future__ import annotations

import time

_BEGUN = time.clock_gettime(time.CLOCK_BOOTTIME)  # before the imports, which take most of the agent's start

import gc  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402

from .cgroups import Cgroups  # noqa: E402
from .loop import Loop  # noqa: E402
from .machine import Machine  # noqa: E402
from .port import Port, find  # noqa: E402
from .protocol import AGENT_PROTOCOL, Outbox  # noqa: E402
from .reaper import Reaper  # noqa: E402
from .service import Service  # noqa: E402
from .session import Host  # noqa: E402
from .shutdown import Shutdown, force_off, power_off  # noqa: E402

TYPE_CHECKING = False  # see _frames
if TYPE_CHECKING:
    from types import TracebackType

_IMPORTED = time.clock_gettime(time.CLOCK_BOOTTIME)


def run(root: str) -> None:
    """Be the agent of the sandbox mounted on ``root``. Returns only by an exception."""
    os.setsid()
    runtime = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    devices = os.open("/dev", os.O_RDONLY | os.O_DIRECTORY)
    null = os.open("/dev/null", os.O_RDWR)
    port = os.open(find(), os.O_RDWR | os.O_NONBLOCK)
    os.chroot(root)
    os.chdir("/")
    os.umask(0o022)

    loop, outbox = Loop(), Outbox()
    cgroups = Cgroups(loop)
    host = Host(loop, outbox, Reaper(loop), cgroups, null, runtime, root)
    shutdown = Shutdown(loop, cgroups, lambda: power_off(runtime))
    service = Service(host, Machine(devices), shutdown, log, str(AGENT_PROTOCOL))
    loop.after_turn = Port(loop, port, outbox, service).flush
    service.timings = timings()
    gc.collect()
    gc.freeze()  # what is there now stays; a collection need not look at it again
    loop.run()


def timings() -> dict[str, int]:
    """Milliseconds since the kernel started, by stage: those of init, which it passes on, and the agent's own."""
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
    """Say ``line`` on the console, which is this process's stderr."""
    try:
        os.write(2, f"sandtop-agent: {line}\n".encode("utf-8", "replace"))
    except OSError:
        return  # nobody is left to tell


def fatal(error: BaseException) -> None:
    """Say what went wrong, in one line and then in a few, and turn the machine off: process 1 must not end."""
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
    """Run; an exit status for a call that makes no sense, or from a process that is not the first."""
    if len(arguments) != 2 or arguments[0] != "--root":
        log("usage: python3 -m sandtop.agent --root FOLDER")
        return 2
    try:
        run(arguments[1])
    except BaseException as error:  # the boundary: nothing may leave process 1
        fatal(error)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
