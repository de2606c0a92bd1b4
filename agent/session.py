"""A session: one program, what goes in and out of it, and how it ended."""

from __future__ import annotations

import os
import signal
import time

from . import builtin
from .input import TYPED, InputPump
from .left import Leftovers
from .output import OutputPump
from .pipes import Pipes
from .spawn import Plan, SpawnFailed, spawn
from .terminal import Terminal
from .users import UnknownUser, find_user
from .waiting import Waiting
from .wire import STREAMS_PER_SESSION, ReceiveWindow, SendStream

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final, Literal

    from .cgroups import Cgroup, Cgroups, Usage
    from .defaults import Defaults
    from .loop import Loop, Timer
    from .reaper import Reaper
    from .start import Start
    from .users import User
    from .waiting import Who
    from .wire import Credit, Outbox

    Record = dict[str, object]
    State = Literal["starting", "running", "ending", "ended"]
    """The state of a session. It is ``ending`` when its leader has ended, and its output is still being read or other
    processes of its cgroup are still being killed. A session whose program could not be started goes from ``starting``
    to ``ended``.

    These are strings because the members of an enum.Enum are looked up and hashed by Python code, which is slower.
    """

_SERVERS: Final = ("files", "mounts")
_OUT_OF_MEMORY_STATUS: Final = 128 + signal.SIGKILL


_NEXT: Final[dict[State, tuple[State, ...]]] = {
    "starting": ("running", "ended"),
    "running": ("ending",),
    "ending": ("ended",),
    "ended": (),
}


class Host:
    """The parts of the agent that all sessions share.

    Attributes:
        null: a descriptor of /dev/null.
        runtime: a descriptor of the guest runtime's root, which has the agent's Python.
        root: the path of the sandbox's root in the guest runtime.
        left: what sessions left running.
        spawn: starts a program: that of `sandtop.agent.spawn`, where the agent is process 1 of a machine …
        fork: … and one of the agent's own: that of `sandtop.agent.builtin`.
        waits: called with a session's id, which of its processes waits for somebody to type, and the command line of
            the one in the foreground, when either changes.
    """

    __slots__ = (
        "cgroups",
        "fork",
        "left",
        "loop",
        "null",
        "outbox",
        "reaper",
        "root",
        "runtime",
        "spawn",
        "waits",
    )

    def __init__(
        self, loop: Loop, outbox: Outbox, reaper: Reaper, cgroups: Cgroups, null: int, runtime: int, root: str
    ) -> None:
        self.loop = loop
        self.outbox = outbox
        self.reaper = reaper
        self.cgroups = cgroups
        self.null = null
        self.runtime = runtime
        self.root = root
        self.left = Leftovers(loop)
        self.spawn: Callable[[Plan, Cgroup, Cgroups], int] = spawn
        self.fork: Callable[[Plan, Record, Cgroup, int, str], int] = builtin.spawn
        self.waits: Callable[[str, Who, str], None] = lambda _id, _who, _program: None


class Session:
    """One session. ``run`` starts its program; ``ended`` is called once, with the session, when `record` is there.

    Attributes:
        awaited: see `Start`.
        serves: it is a server of the agent's own, for files or to mount.
        pid: of the leader, the process that was started; None when none could be.
        record: the exit record; None until it ended.
        input: writes to the program's stdin or terminal; None for a session that takes no input.
        waiting: watches whether a process waits for somebody to type; None without a terminal.
    """

    def __init__(
        self, start: Start, defaults: Defaults, host: Host, ended: Callable[[Session], None]
    ) -> None:
        self.id = start.id
        self.number = start.number
        self.awaited = start.awaited
        self.serves = start.builtin is not None and start.builtin.get("name") in _SERVERS
        self.pid: int | None = None
        self.record: Record | None = None
        self.input: InputPump | None = None
        self.outputs: dict[int, OutputPump] = {}
        self.terminal: Terminal | None = None
        self.waiting: Waiting | None = None
        self._start = start
        self._defaults = defaults
        self._host = host
        self._ended = ended
        self._state: State = "starting"
        self._cgroup: Cgroup | None = None
        self._usage: Usage | None = None
        self._timer: Timer | None = None
        self._timed_out = self._killed = self._out_of_memory = False
        self._status = 0
        self._acked = 0
        self._begun = time.monotonic()

    @property
    def running(self) -> bool:
        """Whether its leader runs."""
        return self._state == "running"

    @property
    def cgroup(self) -> Cgroup | None:
        """That of its processes, until it has ended."""
        return self._cgroup if self.record is None else None

    def run(self) -> None:
        """Start the program. When that fails the session has ended, with a record that says why."""
        try:
            user = self._find_user()
            self._cgroup = self._make_cgroup()
            self._launch(user)
        except SpawnFailed as error:
            self._never_ran(error)
            return
        self._enter("running")
        if self._start.timeout_ms is not None:
            self._timer = self._host.loop.call_in(self._start.timeout_ms / 1000, self._time_out)

    def signal(self, number: int, scope: str) -> None:
        """Signal a running session. Raises OSError."""
        assert self.pid is not None
        assert self._cgroup is not None
        self._killed = self._killed or number == signal.SIGKILL
        if scope == "leader":
            os.kill(self.pid, number)
        elif scope == "group":
            group = self.terminal.foreground() if self.terminal is not None else 0
            os.killpg(group or self.pid, number)
        else:
            self._cgroup.signal(number)

    def take_input(self, offset: int, data: bytes) -> None:
        """Bytes for its program came; it takes input. Raises ProtocolError."""
        assert self.input is not None
        self.input.take(offset, data)
        if self.waiting is None:
            return
        self.waiting.touched()
        if len(data) <= TYPED:
            # the kernel has an echo only when somebody else had the processor: let them, rather than wait for an event
            os.sched_yield()
            for pump in self.outputs.values():
                pump.look()

    def credited(self, credit: Credit) -> None:
        """The core acknowledged output."""
        pump = self.outputs.get(credit.stream)
        if pump is not None:
            pump.credited()
        if (
            self.waiting is not None and credit.acked > self._acked
        ):  # a new link or another window repeats what was acknowledged: that is no sign of life
            self._acked = credit.acked
            self.waiting.touched()

    def forget(self) -> None:
        """The core has stored its output and exit record: drop what is kept for it."""
        for number in self.outputs:
            self._host.outbox.remove(number)

    def _find_user(self) -> User:
        try:
            return find_user(self._start.user or self._defaults.user)
        except UnknownUser as error:
            raise SpawnFailed("user", 0, str(error)) from None

    def _make_cgroup(self) -> Cgroup:
        try:
            return self._host.cgroups.take()
        except OSError as error:
            raise SpawnFailed("cgroup", error.errno or 0, f"cannot make a cgroup: {error.strerror}") from None

    def _launch(self, user: User) -> None:
        if self._start.size is not None:
            self._launch_on_terminal(user, self._start.size)
        else:
            self._launch_on_pipes(user)

    def _launch_on_terminal(self, user: User, size: tuple[int, int]) -> None:
        try:
            terminal = Terminal(size, user)
        except OSError as error:
            raise SpawnFailed("tty", error.errno or 0, f"cannot make a terminal: {error.strerror}") from None
        try:
            self._spawn(user, (-1, -1, -1), terminal.path)
        except SpawnFailed:
            terminal.close()
            raise
        self.terminal = terminal
        self._pump_output(1, os.dup(terminal.master), self._defaults.tty_window)
        self._pump_input(os.dup(terminal.master))
        assert self._cgroup is not None
        assert self.pid is not None
        self.waiting = Waiting(self._host.loop, terminal, self._cgroup, self.pid, self._waits)

    def _launch_on_pipes(self, user: User) -> None:
        try:
            pipes = Pipes(stdin=self._start.stdin, merge=self._start.merge, owner=user.uid)
        except OSError as error:
            raise SpawnFailed("exec", error.errno or 0, f"cannot make a pipe: {error.strerror}") from None
        theirs = pipes.theirs
        try:
            stdio = theirs.get(0, self._host.null), theirs[1], theirs.get(2, theirs[1])
            self._spawn(user, stdio, None)
        except SpawnFailed:
            pipes.close_ours()
            raise
        finally:
            pipes.close_theirs()
        for stream in (1,) if self._start.merge else (1, 2):
            self._pump_output(stream, pipes.ours[stream], self._defaults.window)
        if 0 in pipes.ours:
            self._pump_input(pipes.ours[0])

    def _spawn(self, user: User, stdio: tuple[int, int, int], terminal: str | None) -> None:
        assert self._cgroup is not None
        start, host = self._start, self._host
        env = self._defaults.environment(user, start.env, terminal=terminal is not None)
        cwd = self._defaults.workdir
        if start.cwd is not None:  # a relative path is below the sandbox's workdir
            cwd = os.path.join(cwd, start.cwd)
        plan = Plan(start.argv, env, cwd, user, stdio, terminal, start.rlimits)
        if start.builtin is not None:
            self.pid = host.fork(plan, start.builtin, self._cgroup, host.runtime, host.root)
        else:
            self.pid = host.spawn(plan, self._cgroup, host.cgroups)
        host.reaper.expect(self.pid, self._leader_ended)

    def _pump_output(self, stream: int, fd: int, window: int) -> None:
        number = self.number * STREAMS_PER_SESSION + stream
        self.outputs[number] = OutputPump(
            self._host.loop,
            self._host.outbox,
            fd,
            SendStream(number),
            window,
            self._check,
            terminal=self.terminal is not None,
        )

    def _pump_input(self, fd: int) -> None:
        window = ReceiveWindow(self.number * STREAMS_PER_SESSION)
        self.input = InputPump(
            self._host.loop, self._host.outbox, fd, window, terminal=self.terminal is not None
        )

    def _waits(self) -> None:
        if self.waiting is not None:
            self._host.waits(self.id, self.waiting.who, self.waiting.program)

    def _time_out(self) -> None:
        self._timed_out = True
        if self._cgroup is not None and self._state == "running":
            self._cgroup.kill()

    def _leader_ended(self, status: int) -> None:
        self._enter("ending")
        self._status = status
        if self._start.builtin is not None and self._start.builtin.get("name") == builtin.LAYERS:
            self._host.cgroups.thaw()
        self._host.loop.cancel(self._timer)
        if self.waiting is not None:
            self.waiting.end()
            self.waiting = None
        if self.input is not None:
            self.input.discard()
        assert self._cgroup is not None
        code = os.waitstatus_to_exitcode(status)
        # a shell whose child was killed exits with 128 and the signal's number
        self._out_of_memory = (
            code in (-signal.SIGKILL, _OUT_OF_MEMORY_STATUS) and self._cgroup.oom_kills() > 0
        )
        killed = self._killed and code == -signal.SIGKILL
        heir: Callable[[int], None] | None = None
        if not self._cgroup.finish(self._used, kill=self._timed_out or killed or self._out_of_memory):
            left = self._host.left.take(self.id, self._cgroup)
            if self.terminal is None:  # a terminal is hung up instead
                heir = left.take_output
            self._used(self._cgroup.usage())
        for pump in self.outputs.values():
            pump.finish(heir)

    def _used(self, usage: Usage) -> None:
        self._usage = usage
        self._check()

    def _check(self) -> None:
        """End the session once its output was read and its cgroup is empty or left running."""
        if not all(pump.closed for pump in self.outputs.values()):
            return
        if self._state == "running":  # its program has closed all that it writes to, so it has probably ended
            self._host.reaper.look()
        elif self._state == "ending" and self._usage:
            self._conclude(
                {
                    **self._outcome(),
                    "cpu_us": self._usage.cpu_us,
                    "memory_peak": self._usage.memory_peak,
                }
            )

    def _never_ran(self, error: SpawnFailed) -> None:
        if self._cgroup is not None:
            self._cgroup.finish(lambda _usage: None, kill=True)
        self._conclude(
            {
                "reason": "spawn",
                "stage": error.stage,
                "errno": error.errno,
                "message": str(error),
                "cpu_us": 0,
                "memory_peak": None,
            }
        )

    def _outcome(self) -> Mapping[str, object]:
        if self._timed_out or self._out_of_memory:
            return {"reason": "timeout" if self._timed_out else "oom", "signal": int(signal.SIGKILL)}
        code = os.waitstatus_to_exitcode(self._status)
        return {"reason": "signaled", "signal": -code} if code < 0 else {"reason": "exited", "code": code}

    def _conclude(self, record: Record) -> None:
        self._enter("ended")
        if self.terminal is not None:
            self.terminal.close()
            self.terminal = None
        lengths = [pump.stream.end for pump in self.outputs.values()] + [0, 0]
        self.record = {
            **record,
            "stdout": lengths[0],
            "stderr": lengths[1] if len(self.outputs) == 2 else 0,
            "duration_ms": int((time.monotonic() - self._begun) * 1000),
        }
        self._ended(self)

    def _enter(self, state: State) -> None:
        assert state in _NEXT[self._state], (self._state, state)
        self._state = state
