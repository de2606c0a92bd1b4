"""Folders of the host that are mounted in the sandbox: for each a child of the agent that stands between the kernel's
FUSE and the host (`relay`), and the core's word on whether it still does.
"""

from __future__ import annotations

import os
import select
import signal

from .users import UnknownUser, find_user
from .wire import values
from .wire.limits import MAX_NAME

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final, NoReturn

    from .session import Host
    from .users import User

    Message = dict[str, object]

MOST: Final = 8
_DEADLINE_MS: Final = 30_000
_MOST_WORDS: Final = 1000
_RUNTIME: Final = 3
_FOLDER: Final = 4
_REPORT: Final = 5
_MOST_DESCRIPTORS: Final = 1 << 20


class Folders:
    """The host's folders that are mounted in this guest. ``say`` sends a message to the core."""

    def __init__(self, host: Host, say: Callable[[Message], object]) -> None:
        self._host = host
        self._say = say
        self._mounted: dict[str, bool] = {}  # by target: whether its relay runs

    def all(self) -> list[object]:
        """Each folder's target, and whether it is still mounted."""
        return [{"target": target, "mounted": mounted} for target, mounted in self._mounted.items()]

    def mount(self, message: Mapping[str, object], user: str) -> None:
        """Mount what the port called ``port`` leads to, as the files of ``user``. Raises InvalidMessage, OSError."""
        target, port = values.text(message, "target"), values.text(message, "port")
        read_only = values.boolean(message, "read_only")
        if not target.startswith("/"):
            raise values.InvalidMessage("target must be an absolute path")
        if not 0 < len(port) <= MAX_NAME:
            raise values.InvalidMessage(f"port must have 1 to {MAX_NAME} characters")
        if self._mounted.get(target):
            return
        if len(self._mounted) >= MOST and target not in self._mounted:
            raise values.InvalidMessage(f"there are {MOST} folders of the host already")
        try:
            owner = find_user(user)
        except UnknownUser as error:
            raise values.InvalidMessage(str(error)) from None
        pid = self._start(target, port, owner, read_only=read_only)
        self._mounted[target] = True
        self._host.reaper.expect(pid, lambda _status: self._ended(target))

    def _ended(self, target: str) -> None:
        self._mounted[target] = False
        self._say({"type": "unmounted", "target": target})

    def _start(self, target: str, port: str, owner: User, *, read_only: bool) -> int:
        """The pid of the relay, which has mounted the folder. Raises OSError."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            pid = os.fork()
            if pid == 0:
                _be_relay(self._host.runtime, writer, target, port, owner, read_only=read_only)
        finally:
            os.close(writer)
        try:
            poll = select.poll()
            poll.register(reader, select.POLLIN)
            said = os.read(reader, _MOST_WORDS) if poll.poll(_DEADLINE_MS) else b"it takes too long"
        finally:
            os.close(reader)
        if said != b"mounted":
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise OSError(said.decode("utf-8", "replace") or "its relay died")
        return pid


def _be_relay(runtime: int, report: int, target: str, port: str, owner: User, *, read_only: bool) -> NoReturn:
    """The child's life: mount, say so, and pass on what is asked and answered. Its modules are the runtime's alone."""
    try:
        signal.set_wakeup_fd(-1)  # a signal here must not write to the agent's wake-up pipe
        for number in (signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.makedirs(target, exist_ok=True)
        _keep_only(runtime, os.open(target, os.O_PATH | os.O_DIRECTORY), report)
        os.fchdir(_RUNTIME)
        os.chroot(".")
        from . import relay

        relay.run(_FOLDER, port, owner.uid, owner.gid, lambda: _tell(b"mounted"), read_only=read_only)
    except BaseException as error:  # the boundary: this process ends here, and only the report can tell why
        why = (str(error) or type(error).__name__).encode("utf-8", "replace")[:_MOST_WORDS]
        os.write(2, b"sandtop-agent: the mount at %s ends: %s\n" % (os.fsencode(target), why))
        _tell(why)
    finally:
        os._exit(1)


def _keep_only(*kept: int) -> None:
    """Close every descriptor but these, which become 3, 4 …, and 0 to 2."""
    spare = [os.dup2(fd, max(kept) + 1 + n) for n, fd in enumerate(kept)]
    for n, fd in enumerate(spare):
        os.dup2(fd, _RUNTIME + n)
    os.closerange(_RUNTIME + len(kept), _MOST_DESCRIPTORS)


def _tell(words: bytes) -> None:
    try:
        os.write(_REPORT, words)
        os.close(_REPORT)
    except OSError:
        return  # it was told before
