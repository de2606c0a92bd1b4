"""Starting a program without forking the agent: posix_spawn, which glibc does with CLONE_VM and CLONE_VFORK.

posix_spawn cannot set user, directory or cgroup of the child. But the child inherits the agent's, and the agent has one
thread: so the agent sets its own, calls posix_spawn, and sets them back. Resource limits cannot be set so, as the agent
could not exceed them itself: a start with limits, or with high descriptor numbers, forks.
"""

from __future__ import annotations

import errno
import os
import resource
import select
import signal

from .start import RLIMITS
from .users import read_small_file
from .wire import excess

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Final, NoReturn

    from .cgroups import Cgroup, Cgroups
    from .users import User

_IGNORED_BY_PYTHON: Final = (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that the program must get with their default action. exec(2) resets handlers, but not ignored signals."""
_EXEC_DEADLINE_MS: Final = 30_000
_MAX_REPORT: Final = 4096
_ORDINARY: Final = os.sched_param(0)
"""The scheduling parameters of programs, which would otherwise inherit the agent's SCHED_BATCH (sched(7))."""


_SOFT_DESCRIPTORS: Final = 1024
"""Soft limit of a program's open files, since select(2) takes no higher descriptor. The hard one is the agent's."""


class SpawnFailed(Exception):
    """The program never ran. ``str()`` is a message for the user."""

    def __init__(self, stage: str, number: int, message: str) -> None:
        super().__init__(message)
        self.stage = stage
        self.errno = number


class Plan:
    """A program ready to run.

    Attributes:
        argv: the program and its arguments.
        env: its whole environment.
        cwd: an absolute path.
        stdio: the descriptors that become its 0, 1 and 2; with ``terminal`` they are not used.
        terminal: the path of the terminal that it gets for all three and for its controlling one.
        rlimits: (limit's number, soft, hard).
    """

    __slots__ = ("argv", "cwd", "env", "rlimits", "stdio", "terminal", "user")

    def __init__(
        self,
        argv: list[str],
        env: dict[str, str],
        cwd: str,
        user: User,
        stdio: tuple[int, int, int],
        terminal: str | None,
        rlimits: Sequence[tuple[int, int, int]],
    ) -> None:
        self.argv = argv
        self.env = env
        self.cwd = cwd
        self.user = user
        self.stdio = stdio
        self.terminal = terminal
        self.rlimits = rlimits


def spawn(plan: Plan, cgroup: Cgroup, cgroups: Cgroups) -> int:
    """Run ``plan`` in ``cgroup``; the new process's pid. It leads a session and a process group of its own.

    Raises SpawnFailed. Any other exception means that the agent could not set its own user, directory or cgroup back,
    and cannot go on.
    """
    # posix_spawn_file_actions_adddup2 of glibc refuses descriptors beyond the soft limit that is set at this moment
    if plan.rlimits or max(plan.stdio) >= _SOFT_DESCRIPTORS:
        return run_forked(lambda _started: _exec(plan), cgroup)
    try:
        cgroup.enter()
    except OSError as error:
        raise SpawnFailed("cgroup", error.errno or 0, f"cannot enter its cgroup: {error.strerror}") from None
    limits = _limit_descriptors()
    try:
        if _is_root(plan.user) and plan.cwd == "/":  # as most are: the agent is all that already
            return _posix_spawn(plan)
        _become(plan.user)
        try:
            _enter_folder(plan.cwd)
            return _posix_spawn(plan)
        finally:
            os.chdir("/")
            _become_root()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        cgroups.leave()


def _limit_descriptors() -> tuple[int, int]:
    """Set the limit of open files that programs inherit; returns the agent's, to set back. Open files stay open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_SOFT_DESCRIPTORS, limits[1]), limits[1]))
    return limits


def _is_root(user: User) -> bool:
    return not (user.uid or user.gid or user.groups)


def _become(user: User) -> None:
    """Become ``user``, and keep root as the saved user id, to become root again; in the child exec(2) overwrites it."""
    if not _is_root(user):
        os.setgroups(user.groups)
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, 0)


def _become_root() -> None:
    # the effective user id first: it brings back the capabilities that the rest needs
    if os.geteuid() or os.getegid() or os.getgroups():
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups(())


def _enter_folder(path: str) -> None:
    try:
        os.chdir(path)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise SpawnFailed("cwd", error.errno or 0, f"working directory {path}: {reason}") from None


def _posix_spawn(plan: Plan) -> int:
    actions: list[tuple[int, int, str, int, int] | tuple[int, int, int]]
    if plan.terminal is not None:
        # the first terminal that a session leader opens becomes its controlling terminal
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, plan.terminal, os.O_RDWR, 0),
            (os.POSIX_SPAWN_DUP2, 0, 1),
            (os.POSIX_SPAWN_DUP2, 0, 2),
        ]
    else:
        actions = [(os.POSIX_SPAWN_DUP2, fd, target) for target, fd in enumerate(plan.stdio)]
    return first_that_runs(
        plan,
        lambda path: os.posix_spawn(
            path,
            plan.argv,
            plan.env,
            file_actions=actions,
            setsid=True,
            setsigmask=(),
            setsigdef=_IGNORED_BY_PYTHON,
            scheduler=(os.SCHED_OTHER, _ORDINARY),
        ),
    )


def first_that_runs(plan: Plan, attempt: Callable[[str], int]) -> int:
    """Call ``attempt`` with each path that execvp(3) would try, until one can be executed; what that call returned.

    Raises SpawnFailed with stage exec when there is none.
    """
    name = plan.argv[0]
    denied = missing = None
    for path in _candidates(name, plan.env.get("PATH", "")):
        try:
            return attempt(path)
        except OSError as error:
            if error.errno == errno.EACCES:
                denied = error
            elif error.errno in (errno.ENOENT, errno.ENOTDIR):
                missing = error
            else:
                raise _too_much(plan, error) or _exec_failed(name, error) from None
    raise _exec_failed(name, denied or missing or FileNotFoundError(errno.ENOENT, "", name))


def _candidates(name: str, path: str) -> Iterator[str]:
    if "/" in name:
        yield name
        return
    for folder in path.split(":") if name else ():
        candidate = f"{folder or '.'}/{name}"
        # most folders do not have the program, and an exception for each takes three times as long as this test
        if os.access(candidate, os.F_OK) and not os.path.isdir(candidate):
            yield candidate


def _exec_failed(name: str, error: OSError) -> SpawnFailed:
    number, path = error.errno or 0, os.fsdecode(error.filename or name)
    reason = os.strerror(number)
    if number == errno.ENOENT and os.path.exists(path):
        reason = "the interpreter or loader that it names is not there"
    elif number == errno.ENOENT and "/" not in name:
        reason = "command not found"
    elif number == errno.EACCES and os.path.isdir(path):
        reason = "is a directory"
    return SpawnFailed("exec", number, f"{name}: {reason}")


def _too_much(plan: Plan, error: OSError) -> SpawnFailed | None:
    """The failure that names the limit of execve(2) that ``plan`` exceeds; None when it exceeds none."""
    why = None
    if error.errno == errno.E2BIG:
        why = excess(plan.argv, plan.env, resource.getrlimit(resource.RLIMIT_STACK)[0])
    elif error.errno == errno.EAGAIN and any(each[0] == resource.RLIMIT_NPROC for each in plan.rlimits):
        why = f"{plan.user.name} has more processes already than the limits allow: {_named(plan)}"
    elif error.errno == errno.ENOMEM and (limits := _named(plan)):
        why = f"{os.strerror(errno.ENOMEM)}, with the limits {limits}"
    return None if why is None else SpawnFailed("exec", error.errno or 0, f"{plan.argv[0]}: {why}")


def _named(plan: Plan) -> str:
    """The resource limits of ``plan``, as the user writes them on the command line."""
    return ", ".join(_limit(*each) for each in plan.rlimits)


def _limit(number: int, soft: int, hard: int) -> str:
    name = next((name for name, known in RLIMITS.items() if known == number), str(number))
    values = ["unlimited" if value == -1 else str(value) for value in (soft, hard)]
    return f"{name}={values[0] if soft == hard else ':'.join(values)}"


def run_forked(child: Callable[[Callable[[], None]], None], cgroup: Cgroup) -> int:
    """Fork a process that runs ``child`` in ``cgroup``, in a session of its own; its pid. Raises SpawnFailed.

    ``child`` either raises SpawnFailed, or reports its start: by exec, or by calling the function that it is given.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.fork()
        if pid == 0:
            _run_child(child, cgroup, writer)
    except OSError as error:
        os.close(reader)
        raise SpawnFailed("exec", error.errno or 0, f"cannot fork: {error.strerror}") from None
    finally:
        os.close(writer)
    try:
        _await_exec(pid, reader)
    finally:
        os.close(reader)
    return pid


def _await_exec(pid: int, reader: int) -> None:
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    report = b"exec:110:it did not begin in time"
    if poll.poll(_EXEC_DEADLINE_MS):
        report = os.read(reader, _MAX_REPORT)
    if report:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        stage, number, message = os.fsdecode(report).split(":", 2)
        raise SpawnFailed(stage, int(number), message)


def _run_child(child: Callable[[Callable[[], None]], None], cgroup: Cgroup, writer: int) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)  # a signal here must not write to the agent's wake-up pipe
        for number in (*_IGNORED_BY_PYTHON, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        os.sched_setscheduler(0, os.SCHED_OTHER, _ORDINARY)
        cgroup.enter()
        _limit_descriptors()
        child(lambda: os.close(writer))
        os._exit(0)
    except SpawnFailed as error:
        os.write(writer, os.fsencode(f"{error.stage}:{error.errno}:{error}"[:_MAX_REPORT]))
    except MemoryError:
        os.write(writer, b"rlimits:12:the limits leave too little memory to start a program")
    except OSError as error:
        os.write(writer, os.fsencode(f"cgroup:{error.errno}:{error}"[:_MAX_REPORT]))
    finally:
        os._exit(127)


def take_on(user: User) -> None:
    """Become ``user`` for good, in a forked child. Raises SpawnFailed."""
    try:
        os.setgroups(user.groups)
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)
    except OSError as error:
        raise SpawnFailed("user", error.errno or 0, f"cannot become {user.name}: {error.strerror}") from None


def connect(plan: Plan) -> None:
    """Give the child its descriptors 0, 1 and 2. Raises SpawnFailed."""
    stdio: Sequence[int] = plan.stdio
    if plan.terminal is not None:
        os.close(0)  # so that there is a descriptor for the terminal, however low the limit is
        try:
            stdio = [os.open(plan.terminal, os.O_RDWR)] * 3
        except OSError as error:
            raise SpawnFailed(
                "tty", error.errno or 0, f"cannot open its terminal: {error.strerror}"
            ) from None
    for target, fd in enumerate(stdio):
        os.dup2(fd, target)
        os.set_inheritable(target, True)  # dup2 of a descriptor to itself does not make it inheritable


def _exec(plan: Plan) -> None:
    connect(plan)
    named = _named(plan)  # before limits that could leave no memory for it
    # while still root, who may raise limits; but as late as possible, since they bind this process too
    for limit in plan.rlimits:
        _set_limit(*limit)
    try:
        take_on(plan.user)
        _enter_folder(plan.cwd)
        first_that_runs(plan, lambda path: os.execve(path, plan.argv, plan.env))
    except MemoryError:
        why = f"too little memory is left to start a program, with the limits {named}"
        raise SpawnFailed("rlimits", errno.ENOMEM, why) from None


def _set_limit(number: int, soft: int, hard: int) -> None:
    try:
        resource.setrlimit(number, (soft, hard))
    except (OSError, ValueError) as error:  # Python turns EINVAL and EPERM into ValueError
        why, code = str(error), error.errno if isinstance(error, OSError) else errno.EPERM
        if number == resource.RLIMIT_NOFILE:
            most = read_small_file("/proc/sys/fs/nr_open", 32).strip()
            why = f"the sandbox's kernel takes at most {most or '1048576'} (fs.nr_open)"
        raise SpawnFailed(
            "rlimits", code or 0, f"the limit {_limit(number, soft, hard)} cannot be set: {why}"
        ) from None
