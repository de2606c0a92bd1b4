"""One input, run and judged: what it raised, took and held. In this process, or in one of its own that may hang."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import os
import re
import resource
import signal
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final, NoReturn, cast

from tests.fuzz.target import Dear

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from tests.fuzz.target import Budget, Target

_OURS: Final = re.compile(r'File "[^"]*/sandtop/([\w/]+)\.py", line \d+,? in (\w+)')
_STATUS: Final = re.compile(r"VmHWM:\s+(\d+) kB\s+VmRSS:\s+(\d+) kB")
_ADDRESS_SPACE: Final = 4 << 30
"""Bytes; an input that wants more has a MemoryError instead of the machine."""
_AGAIN: Final = 2
"""How often what cost too much is run again before that is believed: the machine may have been busy."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with an input.

    Attributes:
        kind: error, slow, memory, hang or died.
        where: the exception and the function of ours in which it was, as far as that is known.
        text: for a person: the traceback, or the figures.
    """

    kind: str
    where: str
    text: str

    @property
    def signature(self) -> str:
        """Two findings with the same one are taken as one. Fit for a file's name."""
        return re.sub(r"[^a-z0-9]+", "-", f"{self.kind} {self.where}".lower()).strip("-")


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of processor time, and bytes by which the process grew."""

    cpu: float
    memory: int


def judge(target: Target, data: bytes) -> tuple[Cost, Finding | None]:
    """Run ``data`` here: what it cost, and what is wrong with that, if anything.

    An input beyond its budget is run again; the least of its times counts.
    """
    least: Cost | None = None
    for _ in range(_AGAIN):
        cost, finding = _once(target, data, least)
        if finding is None or finding.kind == "error":
            return cost, finding
        least = cost
    return _once(target, data, least)


def _once(target: Target, data: bytes, least: Cost | None) -> tuple[Cost, Finding | None]:
    try:
        cost, where = _measured(target, data)
    except Dear as error:
        return least or Cost(0.0, 0), Finding("slow", "", str(error))
    except Exception as error:  # the boundary: whatever a target raises is what we look for
        return least or Cost(0.0, 0), _error(error)
    if least is not None:
        cost = Cost(min(cost.cpu, least.cpu), min(cost.memory, least.memory))
    return cost, _beyond(target.budget, len(data), cost, where)


def _beyond(budget: Budget, size: int, cost: Cost, where: str) -> Finding | None:
    allowed = budget.seconds(size)
    if cost.cpu > allowed:
        return Finding(
            "slow", where, f"{cost.cpu:.2f} s of processor time for {size} bytes; {allowed:.2f} s are allowed"
        )
    if cost.memory > budget.memory:
        return Finding(
            "memory",
            "",
            f"grew by {cost.memory >> 20} MiB for {size} bytes; {budget.memory >> 20} MiB are allowed",
        )
    return None


def _measured(target: Target, data: bytes) -> tuple[Cost, str]:
    where = ""

    def mark(number: int, frame: FrameType | None) -> None:
        nonlocal where
        where = _innermost("".join(traceback.format_stack(frame)))

    Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets the peak of the resident set
    _, resident = _memory()
    before = signal.signal(signal.SIGPROF, mark)
    signal.setitimer(signal.ITIMER_PROF, target.budget.seconds(len(data)))
    gc.freeze()  # what was there before is not looked through again and again at the input's cost
    started = time.process_time()
    try:
        target.run(data)
        used = time.process_time() - started
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        gc.collect()  # the input's own garbage, so that the next one does not pay for it
        gc.unfreeze()
    peak, _ = _memory()
    return Cost(used, peak - resident), where


def _memory() -> tuple[int, int]:
    """Peak and present size of what this process has in memory, in bytes."""
    found = _STATUS.search(Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) << 10, int(found[2]) << 10


def _innermost(stack: str, *, first: bool = False) -> str:
    found = _OURS.findall(stack)
    if not found:
        return ""
    module, function = found[0 if first else -1]
    return f"{module} {function}"


def _error(error: BaseException) -> Finding:
    text = "".join(traceback.format_exception(error))
    inner: BaseException = error
    while isinstance(inner, BaseExceptionGroup):
        inner = cast("tuple[BaseException, ...]", inner.exceptions)[0]
    return Finding("error", f"{type(inner).__name__} {_innermost(text)}", text)


def probe(target: Target, data: bytes) -> Finding | None:
    """As `judge`, in a process of its own, which is ended when it hangs."""
    with TemporaryFile() as answer, TemporaryFile() as stack:

        def work() -> None:
            _, finding = judge(target, data)
            if finding is not None:
                answer.write(json.dumps(asdict(finding)).encode())
                answer.flush()

        pid = in_child(work, stack.fileno())
        deadline = time.monotonic() + target.budget.hang
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                break
            if time.monotonic() > deadline:
                return Finding(
                    "hang", kill_hung(pid, stack.fileno()), f"no end after {target.budget.hang:g} s"
                )
            time.sleep(0.001)
        answer.seek(0)
        told = answer.read()
    if told:
        return Finding(**json.loads(told))
    return None if status == 0 else died(status)


def died(status: int) -> Finding:
    """The finding for a process that ended as ``status`` says, by itself."""
    return Finding("died", str(os.waitstatus_to_exitcode(status)), f"wait status {status}")


def in_child(work: Callable[[], None], stack: int) -> int:
    """Call ``work`` in a child with a bound on its memory; its pid. On SIGUSR1 it writes where it is to ``stack``."""
    pid = os.fork()
    if pid:
        return pid
    _child(work, stack)


def _child(work: Callable[[], None], stack: int) -> NoReturn:
    status = 70
    try:
        faulthandler.register(signal.SIGUSR1, file=stack)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        work()
        status = 0
    except BaseException:  # whatever it is, the parent's code must not go on in here
        traceback.print_exc()
    finally:
        os._exit(status)


def kill_hung(pid: int, stack: int) -> str:
    """End a child that hangs; the function that it hung in, as far as it can be known."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGUSR1)
        time.sleep(0.2)
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return _innermost(os.pread(stack, 65536, 0).decode(errors="replace"), first=True)
