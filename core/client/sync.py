"""The synchronous SDK: the async one without ``await``. Made by `just generate`; not to be edited.

It may be used from any thread, and from several at once. `sandtop.core.client._portal` has how.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from sandtop.core.client.sdk import core as _core
from sandtop.core.client.sdk import image as _image
from sandtop.core.client.sdk import together as _together
from sandtop.core.client.sdk import volume as _volume
from sandtop.core.client.sdk import watching as _watching
from sandtop.core.client.sdk.collect import MAX_OUTPUT
from sandtop.core.client.sdk.files import MAX_READ
from sandtop.core.client.sdk.sandbox import Sandbox as _Sandbox
from sandtop.core.client.sdk.together import MAX_EACH
from sandtop.core.client.session.detach import DETACH_KEYS

from ._portal import Connected, Iterated, chunks, held, iterated, run, run_here, run_telling, writes

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Literal

    from sandtop.core.client.link.listening import LogPiece
    from sandtop.core.client.link.values import Rlimit
    from sandtop.core.client.sdk.attach import Detached
    from sandtop.core.client.sdk.collect import Log, Output
    from sandtop.core.client.sdk.files import FileChange
    from sandtop.core.client.sdk.files import Files as _Files
    from sandtop.core.client.sdk.outcome import Outcome
    from sandtop.core.client.sdk.process import Stdin as _Stdin
    from sandtop.core.client.sdk.screen import Screen
    from sandtop.core.client.session.events import ExitRecord
    from sandtop.core.contract.core import CoreStatus
    from sandtop.core.contract.core_events import Happening, HostHistory, Sample, SandboxHistory
    from sandtop.core.contract.file import FileInfo
    from sandtop.core.contract.image import ImageDetails, ImageInfo, Pruned
    from sandtop.core.contract.mount import Mount
    from sandtop.core.contract.net import Egress
    from sandtop.core.contract.sandbox import Inspection, PortForward, Processes, SandboxInfo
    from sandtop.core.contract.secret import GivenSecret
    from sandtop.core.contract.session_results import SessionInfo
    from sandtop.core.contract.volume import VolumeInfo, VolumesPruned

    _Kind = type[BaseException]


class Stdin:
    """A command's input."""

    def __init__(self, twin: _Stdin) -> None:
        self._async = twin

    def send(self, data: bytes) -> None:
        """Send all of ``data``; return when it is on its way, acknowledged or kept until it is.

        Waits as long as the program does not read. Raises `WrongState` when the program has closed its input, has
        ended, or somebody else holds the input. Output that comes meanwhile is kept for the iteration (8 MiB; beyond
        that this waits for it, or, when nobody iterates, the oldest becomes a `Gap`).
        """
        run(lambda: self._async.send(data))

    def close(self) -> None:
        """Close it: the program reads to the end of what was sent. On a terminal it is the end-of-file character.

        Harmless when it is closed already.
        """
        run(lambda: self._async.aclose())


class Process(Iterated):
    """A command that runs in a sandbox. Iterate over it for its events; use it as a context.

    Leaving the context ends the command (``on_exit="kill"``, all that it started, also what it left running when it
    ended by itself) or leaves it running (``on_exit="detach"``).
    """

    @property
    def session(self) -> str:
        """The session's id: `Sandbox.follow` comes back to it."""
        return self._async.session

    @property
    def record(self) -> ExitRecord | None:
        """How it ended; None while it runs, or while its end was not read yet."""
        return self._async.record

    @property
    def stdin(self) -> Stdin:
        """Its input. Raises `InvalidRequest` when it was started without."""
        return Stdin(self._async.stdin)

    def wait(self) -> ExitRecord:
        """Wait for the end and tell it, however often it is asked.

        Output that nobody takes is kept for a later iteration (8 MiB; beyond that the oldest becomes a `Gap`).
        """
        return self._run(lambda: self._async.wait())

    def signal(self, signal: int | str, *, scope: Literal["leader", "group", "all"] = "leader") -> None:
        """Send ``signal`` (a number or a name such as ``"TERM"``) to the first process, its group, or all.

        Raises `WrongState` when the command has ended.
        """
        self._run(lambda: self._async.signal(signal, scope=scope))

    def kill(self) -> None:
        """Kill all that the command started, also what it left running. Harmless when nothing is."""
        self._run(lambda: self._async.kill())

    def resize(self, rows: int, columns: int) -> None:
        """Set the size of its terminal. Raises `InvalidRequest` when it has none."""
        self._run(lambda: self._async.resize(rows, columns))

    def close(self) -> None:
        """End or leave it, as ``on_exit`` says."""
        try:
            self._run(lambda: self._async.aclose())
        finally:
            self._left()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: _Kind | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class Files:
    """The files of one sandbox, as the ``user`` that is given sees them: the sandbox's own (root), unless told.

    Relative paths begin at the sandbox's workdir. Names that are not UTF-8 are as `os.fsdecode` has them. What cannot
    be done raises a `FileError`, which is of Python's class, too: `FileNotFound` is a FileNotFoundError, and so
    `FileExists`, `IsADirectory`, `NotADirectory` and `PermissionDenied`. `WrongState`: it does not run.
    """

    def __init__(self, twin: _Files) -> None:
        self._async = twin

    def read(
        self,
        path: str,
        *,
        offset: int = 0,
        length: int | None = None,
        max_bytes: int = MAX_READ,
        user: str | None = None,
    ) -> bytes:
        """What is in the file at ``path``: all of it, or ``length`` bytes from ``offset``.

        Raises `FileError` (EFBIG) when that is more than ``max_bytes``; `read_chunks` has no limit. A FIFO or a device
        is refused (EINVAL).
        """
        return run(
            lambda: self._async.read(path, offset=offset, length=length, max_bytes=max_bytes, user=user)
        )

    def read_text(
        self, path: str, *, encoding: str = "utf-8", errors: str = "strict", user: str | None = None
    ) -> str:
        """The same as text. Raises UnicodeDecodeError for what is none, unless ``errors`` says what to do."""
        return run(lambda: self._async.read_text(path, encoding=encoding, errors=errors, user=user))

    def read_chunks(
        self, path: str, *, offset: int = 0, length: int | None = None, user: str | None = None
    ) -> Generator[bytes]:
        """What `read` returns, piece by piece, of a file of any size."""
        return iterated(lambda: self._async.read_chunks(path, offset=offset, length=length, user=user))

    def write(
        self,
        path: str,
        data: bytes | str,
        *,
        mode: int | None = None,
        parents: bool = True,
        user: str | None = None,
    ) -> FileInfo:
        """Make ``data`` (text as UTF-8) what is in the file at ``path``, and tell what is there now.

        ``mode`` are its permission bits; None keeps those that it has, and a new one gets 0644. ``parents`` makes
        folders that are missing. The file is replaced as a whole, so that nobody sees a part of it, and keeps its
        owner; where it cannot be replaced, as in a folder of somebody else's, it is written in its place. Where a link
        leads, that is written.
        """
        return run(lambda: self._async.write(path, data, mode=mode, parents=parents, user=user))

    def list(self, path: str = ".", *, user: str | None = None) -> list[FileInfo]:
        """What is in the folder at ``path``, by name, links not followed. `scan` does not hold all of it in memory."""
        return run(lambda: self._async.list(path, user=user))

    def scan(self, path: str = ".", *, user: str | None = None) -> Generator[FileInfo]:
        """What is in the folder at ``path``, in no order, as it comes."""
        for page in self.pages(path, user=user):
            yield from page

    def pages(self, path: str = ".", *, user: str | None = None) -> Generator[Sequence[FileInfo]]:
        """What `scan` gives, as many at a time as come together: some hundred."""
        return iterated(lambda: self._async.pages(path, user=user))

    def stat(self, path: str, *, follow: bool = True, user: str | None = None) -> FileInfo:
        """What is at ``path``; behind a symbolic link, unless ``follow`` is False."""
        return run(lambda: self._async.stat(path, follow=follow, user=user))

    def exists(self, path: str, *, user: str | None = None) -> bool:
        """Whether there is anything at ``path``; False for a link that leads nowhere. Raises `PermissionDenied`."""
        return run(lambda: self._async.exists(path, user=user))

    def mkdir(
        self, path: str, *, mode: int | None = None, parents: bool = False, user: str | None = None
    ) -> FileInfo:
        """Make a folder. With ``parents`` also those above it, and it is no error that it is there."""
        return run(lambda: self._async.mkdir(path, mode=mode, parents=parents, user=user))

    def remove(self, path: str, *, recursive: bool = False, user: str | None = None) -> None:
        """Remove a file or a link; with ``recursive`` also a folder with all that is in it.

        Raises `IsADirectory` for a folder without that.
        """
        run(lambda: self._async.remove(path, recursive=recursive, user=user))

    def rename(self, path: str, target: str, *, user: str | None = None) -> None:
        """Give what is at ``path`` the path ``target``, on the same file system; a file that is there is replaced.

        Raises `FileError` (EXDEV) across file systems, and for a folder that the image brought.
        """
        run(lambda: self._async.rename(path, target, user=user))

    def watch(self, path: str, *, user: str | None = None) -> Generator[FileChange]:
        """What happens to the file at ``path``, or to what is in the folder (not below), from now until it is gone.

        What happens before the first step of the iteration is not seen.
        """
        return iterated(lambda: self._async.watch(path, user=user))


class Connection(Connected):
    """A TCP connection to a port of a sandbox: a stream of bytes both ways. `Sandbox.connect` makes it.

    One task may send while another receives. Use it as a context, or close it.
    """

    @property
    def address(self) -> str:
        """Where in the sandbox the program listens: ``127.0.0.1`` or ``::1``."""
        return self._async.address

    def send_all(self, data: bytes) -> None:
        """Send all of ``data``; return when it is on its way. Waits as long as the program does not read.

        Raises `ChannelError` when the connection broke: the program reset it, the sandbox stopped, or the core went
        away; `WrongState` when it was closed here.
        """
        self._run(lambda: self._async.send_all(data))

    def receive_some(self, max_bytes: int = 65536) -> bytes:
        """The next bytes, at least one and at most ``max_bytes``; empty when the program has ended its side.

        Raises as `send_all`.
        """
        return self._run(lambda: self._async.receive_some(max_bytes))

    def send_eof(self) -> None:
        """End this side: the program reads to the end of what was sent, and may go on sending. Harmless when ended."""
        self._run(lambda: self._async.send_eof())

    def close(self) -> None:
        """Close it: what was sent arrives, and then the end of it; what was not received is lost."""
        try:
            self._run(lambda: self._async.aclose())
        finally:
            self._left()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: _Kind | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class Sandbox:
    """A sandbox. `create`, `get` and `list` make these; the constructor is not for callers.

    As a context it is removed at the end if it was created here without ``keep=True``, and left alone otherwise.
    """

    def __init__(self, twin: _Sandbox) -> None:
        self._async = twin

    @classmethod
    def create(
        cls,
        name: str,
        *,
        image: str | None = None,
        cpus: int | None = None,
        memory: int | None = None,
        disk: int | None = None,
        network: Literal["none", "user", "user:host-loopback", "filtered"] | None = None,
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        shell: str | None = None,
        user: str | None = None,
        labels: Mapping[str, str] | None = None,
        accelerator: Literal["kvm", "tcg"] | None = None,
        cold: bool = False,
        ephemeral: bool = False,
        keep: bool = False,
        publish: Sequence[str] = (),
        allow: Sequence[str] | None = None,
        mounts: Sequence[str | Mount] = (),
        secrets: Sequence[str | GivenSecret] = (),
        progress: Callable[[str], None] | None = None,
    ) -> Self:
        """Make a sandbox, start it, and return it running. ``memory`` and ``disk`` are MiB; None is the core's default.

        It goes on from a template of its shape, which the first of that shape has to wait for; with ``cold`` it boots.
        ``accelerator`` is for this and all its later starts; None is the best that works on the core's host.
        ``image`` may be a container image in a registry, as ``debian:12``: one that is not here is pulled, as by
        `pull_image`. Its configuration says what is not said here: the environment, the user, the directory.
        An ``ephemeral`` one is removed by the core when nobody holds it any more: `hold`.
        ``publish`` are ports of the host that lead into it whenever it runs, such as ``"8080:80"``, or ``"80"`` for
        any that is free: `info` says which. ``mounts`` are mounted in it whenever it runs, each as `Mount` or as
        ``"type=volume,src=data,dst=/data"``, ``"type=tmpfs,dst=/scratch,tmpfs-size=64m"`` …
        ``allow`` is what it may reach, as `allow` has it, and nothing else: also with an empty one.
        ``secrets`` are put in by the core where it sends something to their host, and are never in it: each as
        ``"API=env:TOKEN@api.example.com"``, ``"API=file:token.txt@api.example.com"``, or as `GivenSecret`.

        ``progress`` is called with a line about whatever takes long. Raises `AlreadyExists`, `InvalidRequest`,
        `ImageError`, `MachineError` … When cancelled it removes what was made.
        """
        return cls(
            run_telling(
                lambda caller: _Sandbox.create(
                    name,
                    image=image,
                    cpus=cpus,
                    memory=memory,
                    disk=disk,
                    network=network,
                    env=env,
                    workdir=workdir,
                    shell=shell,
                    user=user,
                    labels=labels,
                    accelerator=accelerator,
                    cold=cold,
                    ephemeral=ephemeral,
                    keep=keep,
                    publish=publish,
                    allow=allow,
                    mounts=mounts,
                    secrets=secrets,
                    progress=caller.hears(progress),
                )
            )
        )

    @classmethod
    def get(cls, name: str) -> Self:
        """The sandbox ``name`` (or uuid). Raises `NotFound`."""
        return cls(run(lambda: _Sandbox.get(name)))

    @classmethod
    def at(cls, reference: str) -> Self:
        """The sandbox of this name or uuid, without asking for it; what is done to it raises `NotFound` without one.

        Its `info` is empty, with the state ``"unknown"``, until something tells.
        """
        return cls(_Sandbox.at(reference))

    @classmethod
    def list(cls, *, pages: int | None = None) -> list[Self]:
        """All sandboxes, oldest first; with ``pages`` no more than the newest that so many answers of the core hold,
        each of up to a MiB.
        """
        return [cls(one) for one in run(lambda: _Sandbox.list(pages=pages))]

    @property
    def name(self) -> str:
        return self._async.name

    @property
    def uuid(self) -> str:
        return self._async.uuid

    @property
    def info(self) -> SandboxInfo:
        """All about it, as of the last call that told: `refresh` asks again."""
        return self._async.info

    @property
    def files(self) -> Files:
        """Its files, read and written in place. `upload` and `download` copy whole trees."""
        return Files(self._async.files)

    def __repr__(self) -> str:
        return self._async.__repr__()

    def refresh(self) -> SandboxInfo:
        """Ask again how it is."""
        return run(lambda: self._async.refresh())

    def inspect(self) -> Inspection:
        """All that the core knows of it: also its machine's command line, the timings of its start, its console."""
        return run(lambda: self._async.inspect())

    def ping(self) -> float:
        """Ask its agent whether it is there; the seconds that it took. Raises `WrongState`, `ChannelError`."""
        return run(lambda: self._async.ping())

    def top(self) -> Processes:
        """What runs in it, by its agent's word, what takes most of its processors first.

        Raises `WrongState` when it does not run, or its agent is of an older sandtop; `ChannelError`.
        """
        return run(lambda: self._async.top())

    def console(self, *, tail: int | None = None) -> bytes:
        """What its guest's kernel and agent printed since its last start: the last 256 KiB, or ``tail`` lines of it.

        A guest can print anything: it is not fit for a terminal as it is.
        """
        return run(lambda: self._async.console(tail=tail))

    def follow_console(self, *, tail: int | None = None) -> Generator[bytes]:
        """As `console`, and what comes until its machine ends."""
        return iterated(lambda: self._async.follow_console(tail=tail))

    def update(self, *, disk: int) -> None:
        """Give it a disk of ``disk`` MiB, while it runs or not. Raises `InvalidRequest` for a smaller one."""
        run(lambda: self._async.update(disk=disk))

    def start(self, *, cold: bool = False, accelerator: Literal["kvm", "tcg"] | None = None) -> None:
        """Start it, from a template or, with ``cold``, by booting; ``accelerator`` is for this start alone.

        Raises `WrongState` when it runs, `MachineError` when it cannot.
        """
        run(lambda: self._async.start(cold=cold, accelerator=accelerator))

    def stop(self, *, force: bool = False) -> None:
        """End what runs in it and switch it off; with ``force`` at once. What was written stays."""
        run(lambda: self._async.stop(force=force))

    def restart(
        self, *, force: bool = False, cold: bool = False, accelerator: Literal["kvm", "tcg"] | None = None
    ) -> None:
        """Stop it, if it runs, and start it, as `start` does."""
        run(lambda: self._async.restart(force=force, cold=cold, accelerator=accelerator))

    def pause(self) -> None:
        """Freeze it: memory stays, nothing runs, timeouts stand still."""
        run(lambda: self._async.pause())

    def resume(self) -> None:
        """Let a paused one go on."""
        run(lambda: self._async.resume())

    def rm(self, *, force: bool = False, keep_history: bool = False) -> None:
        """Remove it with all that was written in it; ``force`` ends a running one first.

        With ``keep_history`` its sessions' output and exit records stay. Raises `WrongState` when it runs.
        """
        run(lambda: self._async.rm(force=force, keep_history=keep_history))

    def hold(self) -> AbstractContextManager[None]:
        """While in this context an ``ephemeral`` sandbox stays. Afterwards the core removes it, also when this
        program was killed; a core that was killed itself is told again.
        """
        return held(self._async.hold)

    def acknowledge(self, *sessions: str, undo: bool = False) -> None:
        """Say that it was seen how ``sessions`` ended or that they wait, or without any that the sandbox itself
        failed or was lost.

        They stay in the history; no console asks for somebody any more, until ``undo`` takes that back. Raises
        `WrongState` when they did not end, nor wait.
        """
        run(lambda: self._async.acknowledge(*sessions, undo=undo))

    def exec(
        self,
        program: str,
        args: Sequence[str] = (),
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        timeout: float | None = None,
        rlimits: Mapping[str, Rlimit] | None = None,
        stdin: bytes | None = None,
        stderr: Literal["stdout"] | None = None,
        tty: bool | tuple[int, int] = False,
        labels: Mapping[str, str] | None = None,
        max_output: int = MAX_OUTPUT,
    ) -> Output:
        """Run ``program`` and wait for its end. A failing program is an `Output` too, not an exception.

        ``timeout`` is in seconds and ends all that the command started; ``rlimits`` are ``soft``, ``(soft, hard)`` or
        ``"unlimited"``; ``tty`` may be ``(rows, columns)``; ``stdin`` None is empty; ``stderr="stdout"`` sends it
        where stdout goes, so that all comes in the order in which it was written. Raises `SpawnError` when the program
        could not be started, `WrongState` when the sandbox does not run, `MachineError` when it died.
        """
        return run(
            lambda: self._async.exec(
                program,
                args,
                cwd=cwd,
                env=env,
                user=user,
                timeout=timeout,
                rlimits=rlimits,
                stdin=stdin,
                stderr=stderr,
                tty=tty,
                labels=labels,
                max_output=max_output,
            )
        )

    def shell(
        self,
        script: str,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        timeout: float | None = None,
        rlimits: Mapping[str, Rlimit] | None = None,
        stdin: bytes | None = None,
        stderr: Literal["stdout"] | None = None,
        tty: bool | tuple[int, int] = False,
        labels: Mapping[str, str] | None = None,
        max_output: int = MAX_OUTPUT,
    ) -> Output:
        """Run ``script`` by the sandbox's shell; everything else as in `exec`."""
        return run(
            lambda: self._async.shell(
                script,
                cwd=cwd,
                env=env,
                user=user,
                timeout=timeout,
                rlimits=rlimits,
                stdin=stdin,
                stderr=stderr,
                tty=tty,
                labels=labels,
                max_output=max_output,
            )
        )

    def exec_stream(
        self,
        program: str,
        args: Sequence[str] = (),
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        timeout: float | None = None,
        rlimits: Mapping[str, Rlimit] | None = None,
        stdin: bool | bytes | None = None,
        stderr: Literal["stdout"] | None = None,
        tty: bool | tuple[int, int] = False,
        labels: Mapping[str, str] | None = None,
        on_exit: Literal["kill", "detach"] = "kill",
    ) -> Process:
        """Start ``program`` and return when it runs; what it writes comes as events.

        ``stdin`` True gives `Process.stdin`, bytes are sent as they are, None is empty (a tty always has an input).
        ``on_exit`` says what leaving the block does: ``"kill"`` (the default) ends all that the command started, also
        when this program dies; ``"detach"`` leaves it running. All else as in `exec`.
        """
        return Process(
            lambda: self._async.exec_stream(
                program,
                args,
                cwd=cwd,
                env=env,
                user=user,
                timeout=timeout,
                rlimits=rlimits,
                stdin=stdin,
                stderr=stderr,
                tty=tty,
                labels=labels,
                on_exit=on_exit,
            )
        )

    def exec_detached(
        self,
        program: str,
        args: Sequence[str] = (),
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        timeout: float | None = None,
        rlimits: Mapping[str, Rlimit] | None = None,
        stderr: Literal["stdout"] | None = None,
        tty: bool | tuple[int, int] = False,
        labels: Mapping[str, str] | None = None,
    ) -> SessionInfo:
        """Start ``program`` and leave it running; `follow` comes back to its session. All else as in `exec`."""
        return run(
            lambda: self._async.exec_detached(
                program,
                args,
                cwd=cwd,
                env=env,
                user=user,
                timeout=timeout,
                rlimits=rlimits,
                stderr=stderr,
                tty=tty,
                labels=labels,
            )
        )

    def shell_detached(
        self,
        script: str,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        timeout: float | None = None,
        rlimits: Mapping[str, Rlimit] | None = None,
        stderr: Literal["stdout"] | None = None,
        tty: bool | tuple[int, int] = False,
        labels: Mapping[str, str] | None = None,
    ) -> SessionInfo:
        """Start ``script`` by the sandbox's shell and leave it running; all else as in `exec_detached`."""
        return run(
            lambda: self._async.shell_detached(
                script,
                cwd=cwd,
                env=env,
                user=user,
                timeout=timeout,
                rlimits=rlimits,
                stderr=stderr,
                tty=tty,
                labels=labels,
            )
        )

    def attach(
        self,
        program: str,
        args: Sequence[str] = (),
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        detach_keys: str = DETACH_KEYS,
        allow: Iterable[str] = (),
    ) -> int | Detached:
        """Run ``program`` on this process's own terminal; its exit status, or `Detached` when it was left.

        ``detach_keys`` are as docker writes them: ``ctrl-]``, ``ctrl-p,ctrl-q``. ``allow`` are the kinds (those of
        ``sandtop attach --allow``) by which the program may reach outside of the screen, beside those in the
        settings. The program outlives this one. Raises `InvalidRequest` without a terminal, `SpawnError` when it could
        not be started.
        """
        return run_here(
            lambda: self._async.attach(
                program, args, cwd=cwd, env=env, user=user, detach_keys=detach_keys, allow=allow
            )
        )

    def attach_shell(
        self,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        detach_keys: str = DETACH_KEYS,
        allow: Iterable[str] = (),
    ) -> int | Detached:
        """`attach` with the sandbox's shell."""
        return run_here(
            lambda: self._async.attach_shell(
                cwd=cwd, env=env, user=user, detach_keys=detach_keys, allow=allow
            )
        )

    def attach_session(
        self,
        session: str,
        *,
        read_only: bool = False,
        take: bool = False,
        detach_keys: str = DETACH_KEYS,
        allow: Iterable[str] = (),
    ) -> int | Detached:
        """Come back to the terminal of ``session``: its screen, then all that follows.

        With ``read_only`` it is only watched; ``take`` takes the input from whoever holds it. Raises `WrongState` when
        it has ended, has no terminal, or somebody else holds the input.
        """
        return run_here(
            lambda: self._async.attach_session(
                session, read_only=read_only, take=take, detach_keys=detach_keys, allow=allow
            )
        )

    def screen(
        self,
        session: str | None = None,
        *,
        scrollback: bool = False,
        ansi: bool = False,
        wait_for: str | None = None,
        timeout: float | None = None,
    ) -> Screen:
        """What shows on the terminal of ``session``, also when it has ended; of the latest one when None.

        ``wait_for`` is a regular expression (``^`` and ``$`` are a row's): the screen once that is on it. Raises
        `TimedOut` when that takes more than ``timeout`` seconds, `WrongState` when the session ends without it or has
        no terminal, `InvalidRequest` for a pattern that is none, or takes too long to be looked for.
        """
        return run(
            lambda: self._async.screen(
                session, scrollback=scrollback, ansi=ansi, wait_for=wait_for, timeout=timeout
            )
        )

    def type(
        self,
        session: str,
        text: str = "",
        *,
        keys: Sequence[str] = (),
        enter: bool = False,
        take: bool = False,
    ) -> None:
        """Type ``text``, then ``keys`` (``"ctrl-c"``, ``"up"`` …), then enter; return when it has arrived.

        Raises `WrongState` when somebody else holds the input (``take`` takes it) or the session has ended or has no
        terminal, `InvalidRequest` for a key that is none.
        """
        run(lambda: self._async.type(session, text, keys=keys, enter=enter, take=take))

    def upload(
        self,
        source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        target: str,
        *,
        user: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Copy ``source``, a file or a tree of this host, to ``target`` in the sandbox, as cp(1) does.

        Into ``target`` when that is a folder, else as ``target``; ``folder/.`` copies what is in a folder. A list of
        them is copied into ``target``, which must be a folder. Modes, times and holes are kept, owners are ``user``.
        ``progress`` is called with the bytes so far. Raises `InvalidRequest` for an empty path, `NotFound`, and
        `StorageError` with what could not be copied; all else was.
        """
        run_telling(
            lambda caller: self._async.upload(source, target, user=user, progress=caller.hears(progress))
        )

    def upload_tar(
        self,
        pieces: Iterable[bytes],
        target: str,
        *,
        user: str | None = None,
        progress: Callable[[int], None] | None = None,
        rename: bool = False,
    ) -> None:
        """Unpack a tar stream in the folder ``target``; with ``rename`` its one top name may become ``target``."""
        run_telling(
            lambda caller: self._async.upload_tar(
                chunks(pieces), target, user=user, progress=caller.hears(progress), rename=rename
            )
        )

    def download(
        self,
        source: str | Sequence[str],
        target: str | os.PathLike[str],
        *,
        user: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Copy ``source``, a file or a tree of the sandbox, to ``target`` on this host; otherwise as `upload`.

        Whatever the sandbox sends, nothing is written outside of ``target``.
        """
        run_telling(
            lambda caller: self._async.download(source, target, user=user, progress=caller.hears(progress))
        )

    def download_tar(
        self, source: str | Sequence[str], write: Callable[[bytes], object], *, user: str | None = None
    ) -> None:
        """Pass the tar stream of ``source`` to ``write``, piece by piece. Raises `StorageError`."""
        run(lambda: self._async.download_tar(source, writes(write), user=user))

    def copy(
        self,
        source: str | Sequence[str],
        other: Sandbox,
        target: str,
        *,
        user: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Copy ``source`` of this sandbox to ``target`` in the sandbox ``other``, as `upload` does; nothing stays here.

        What arrives there is what was asked for, whatever this sandbox sends: no other name, and no link in its place.
        Raises `InvalidRequest` for a folder that would be copied into itself, and as `upload`.
        """
        run_telling(
            lambda caller: self._async.copy(
                source, other._async, target, user=user, progress=caller.hears(progress)
            )
        )

    def follow(
        self, session: str, *, stdin: bool = False, stdout_from: int = 0, stderr_from: int = 0
    ) -> Process:
        """Come back to ``session`` (an id or the beginning of one), running or ended; leaving the block leaves it.

        Output comes from the offsets given; with ``stdin`` its input is taken too. Raises `NotFound`, and
        `WrongState` when another client holds the input.
        """
        return Process(
            lambda: self._async.follow(session, stdin=stdin, stdout_from=stdout_from, stderr_from=stderr_from)
        )

    def sessions(self) -> Sequence[SessionInfo]:
        """Its sessions, running and ended, oldest first."""
        return run(lambda: self._async.sessions())

    def session(self, session: str) -> SessionInfo:
        """One of its sessions, by its whole id. Raises `NotFound`."""
        return run(lambda: self._async.session(session))

    def signal(
        self, session: str, signal: int | str, *, scope: Literal["leader", "group", "all"] = "leader"
    ) -> None:
        """Send ``signal`` (a number or a name such as ``"TERM"``) to its first process, that one's group, or all.

        With ``"all"`` it reaches also what an ended session left running. Raises `WrongState` when nothing is.
        """
        run(lambda: self._async.signal(session, signal, scope=scope))

    def remove_session(self, session: str) -> None:
        """Forget an ended session and its output, and end what it left running. Raises `WrongState` while it runs."""
        run(lambda: self._async.remove_session(session))

    def logs(
        self,
        session: str | None = None,
        *,
        since: float | None = None,
        tail: int | None = None,
        max_output: int = MAX_OUTPUT,
    ) -> Log:
        """What ``session`` (the latest when None) has written so far; `follow` goes on with it.

        ``since`` is in seconds since the epoch, ``tail`` a number of lines. Raises `NotFound`.
        """
        return run(lambda: self._async.logs(session, since=since, tail=tail, max_output=max_output))

    def allow(self, *rules: str) -> None:
        """Let it reach more: names (``git.example.org``, ``*.example.com:443``) and addresses (``192.0.2.0/24:22``).

        For connections that begin from now on. Raises `InvalidRequest`, and `WrongState` when it was made without an
        allow-list.
        """
        run(lambda: self._async.allow(*rules))

    def deny(self, *rules: str, end: bool = False) -> None:
        """Let it reach less: take ``rules`` from its list. With ``end`` connections end that are not allowed any more.

        Raises `NotFound` for one that is not on the list; and as `allow`.
        """
        run(lambda: self._async.deny(*rules, end=end))

    def give_secrets(self, *secrets: str | GivenSecret) -> None:
        """Give the core values of its secrets anew, as `create` has them: another core than that which it was made by
        knows none that was not in a file. For connections that begin from now on.

        Raises `NotFound` for one that it was not made with, `InvalidRequest`, and as `allow`.
        """
        run(lambda: self._async.give_secrets(*secrets))

    def egress(self, *, after: int = 0) -> Sequence[Egress]:
        """What it connected to, or tried to, oldest first: the last thousand, with an id higher than ``after``.

        Raises `WrongState` when it was made without an allow-list.
        """
        return run(lambda: self._async.egress(after=after))

    def connect(self, port: int) -> Connection:
        """A TCP connection to ``port`` in it, on 127.0.0.1 there or else on ::1, whatever its network.

        Raises `ConnectionRefused` when nothing listens there, `TimedOut` when what listens does not take it,
        `WrongState` when the sandbox does not run or has 1,024 connections already; `ChannelError`.
        """
        return Connection(lambda: self._async.connect(port))

    def forward(self, *ports: str) -> AbstractContextManager[Sequence[PortForward]]:
        """While in this context, ports of the host lead to ports of it, whatever its network: gives where they are.

        Such as ``"8080:80"``, ``"80"`` for any port that is free, or ``"0.0.0.0:8080:80"`` for all who reach the
        host. A core that was killed listens on the same ports again; connections end with it. Raises `AlreadyExists`
        for a port that is taken, `InvalidRequest`, and `WrongState` when the sandbox does not run, or no more.
        """
        return held(lambda: self._async.forward(*ports))

    def commit(
        self, name: str, *, changes: Sequence[str] = (), progress: Callable[[str], None] | None = None
    ) -> ImageInfo:
        """Make the image ``name`` of what is in it now: its image, and its own changes as a layer on top.

        Its programs stand still meanwhile. The environment, the user and the directory are those of the sandbox, all
        else its image's; ``changes`` are lines of a Dockerfile, such as ``'CMD ["server"]'``. Raises `WrongState` when
        it does not run, `InvalidRequest`, `ImageError`.
        """
        return run_telling(
            lambda caller: self._async.commit(name, changes=changes, progress=caller.hears(progress))
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: _Kind | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        run(lambda: self._async.__aexit__(kind, error, traceback))


def core_status() -> CoreStatus:
    """How the core is; it is started when it does not run."""
    return run(lambda: _core.core_status())


def stop_core(*, machines: bool = False) -> bool:
    """End the core, and with ``machines`` every sandbox first; else they go on. Whether there was one.

    Whatever is asked next starts it again. Raises `CoreUnavailable` when it stays.
    """
    return run(lambda: _core.stop_core(machines=machines))


def sessions(*, pages: int | None = None) -> list[SessionInfo]:
    """The sessions of all sandboxes, running and ended, oldest first.

    With ``pages`` no more than the newest that so many answers of the core hold, each of up to a MiB.
    """
    return run(lambda: _core.sessions(pages=pages))


def images() -> list[ImageInfo]:
    """The images that sandboxes can start from."""
    return run(lambda: _image.images())


def build_image(
    name: str, source: str | os.PathLike[str], progress: Callable[[str], None] | None = None
) -> ImageInfo:
    """Make the image ``name`` of a directory or a tar file. Raises `ImageError`, `InvalidRequest`."""
    return run_telling(lambda caller: _image.build_image(name, source, caller.hears(progress)))


def build_dockerfile(
    context: str | os.PathLike[str],
    name: str,
    *,
    dockerfile: str | os.PathLike[str] | None = None,
    arguments: Mapping[str, str] | None = None,
    cache: bool = True,
    cpus: int | None = None,
    memory: int | None = None,
    disk: int | None = None,
    network: Literal["none", "user", "user:host-loopback"] | None = None,
    accelerator: Literal["kvm", "tcg"] | None = None,
    progress: Callable[[str], None] | None = None,
) -> ImageInfo:
    """Build the image ``name`` of a Dockerfile: that in the folder ``context``, unless ``dockerfile`` is another.

    Its programs run in a sandbox of this shape, and each step becomes a layer; steps that were taken before are not
    taken again, unless ``cache`` is False. ``arguments`` are the values of its ARGs. ``progress`` gets a line for each
    step, and the lines that programs write. Raises `InvalidRequest` before anything is run, for what the Dockerfile has
    that is not supported; `ImageError` for a step that fails.
    """
    return run_telling(
        lambda caller: _image.build_dockerfile(
            context,
            name,
            dockerfile=dockerfile,
            arguments=arguments,
            cache=cache,
            cpus=cpus,
            memory=memory,
            disk=disk,
            network=network,
            accelerator=accelerator,
            progress=caller.hears(progress),
        )
    )


def pull_image(
    name: str, *, insecure: bool = False, progress: Callable[[str], None] | None = None
) -> ImageInfo:
    """Fetch the container image ``name``, as ``debian:12`` or ``ghcr.io/user/image@sha256:…``, and make an image of it.

    Layers that are here are not fetched. Passwords are those of docker's config.json and its helpers. ``insecure``
    allows a registry without TLS, or with a certificate that nobody vouches for. Raises `NotFound` when the registry
    has none, `ImageError`.
    """
    return run_telling(
        lambda caller: _image.pull_image(name, insecure=insecure, progress=caller.hears(progress))
    )


def load_images(
    path: str | os.PathLike[str], name: str | None = None, progress: Callable[[str], None] | None = None
) -> list[ImageInfo]:
    """Make images of those in a file: what ``docker save`` writes, an OCI archive, the folder of an OCI layout.

    They are called what they say, or ``name`` where there is one alone. Raises `ImageError`, `InvalidRequest`.
    """
    return run_telling(lambda caller: _image.load_images(path, name, caller.hears(progress)))


def inspect_image(name: str) -> ImageDetails:
    """All that is known of the image ``name``: its layers, the configuration that it came with. Raises `NotFound`."""
    return run(lambda: _image.inspect_image(name))


def image_command(name: str, command: Sequence[str] = (), *, entrypoint: str | None = None) -> list[str]:
    """What ``docker run`` would run of the image ``name``: its entrypoint with ``command`` or, without, with its own.

    ``entrypoint`` goes before the image's; empty, there is none. Raises `NotFound`, and `InvalidRequest` when nothing
    is left to run.
    """
    return run(lambda: _image.image_command(name, command, entrypoint=entrypoint))


def tag_image(name: str, new: str) -> ImageInfo:
    """Call the image ``name`` by the name ``new``, too. Raises `NotFound`, `InvalidRequest`."""
    return run(lambda: _image.tag_image(name, new))


def prune_images(*, all: bool = False, progress: Callable[[str], None] | None = None) -> Pruned:
    """Free what no image has any more; with ``all`` also the images but ``base`` that no sandbox was made of."""
    return run_telling(lambda caller: _image.prune_images(all=all, progress=caller.hears(progress)))


def warm_image(
    name: str | None = None,
    *,
    cpus: int | None = None,
    memory: int | None = None,
    disk: int | None = None,
    network: Literal["none", "user", "user:host-loopback", "filtered"] | None = None,
    accelerator: Literal["kvm", "tcg"] | None = None,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Prepare the image ``name``, so that the first sandbox of this shape starts as fast as all later ones.

    ``memory`` and ``disk`` are MiB; None is the core's default, as in `Sandbox.create`. Raises `ImageError`,
    `MachineError`.
    """
    run_telling(
        lambda caller: _image.warm_image(
            name,
            cpus=cpus,
            memory=memory,
            disk=disk,
            network=network,
            accelerator=accelerator,
            progress=caller.hears(progress),
        )
    )


def remove_image(name: str) -> None:
    """Remove the image ``name``. Raises `NotFound`, and `WrongState` when a sandbox was made of it.

    While an image is built it waits for that.
    """
    run(lambda: _image.remove_image(name))


def exec_all(
    sandboxes: Sequence[str],
    program: str,
    args: Sequence[str] = (),
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
    timeout: float | None = None,
    rlimits: Mapping[str, Rlimit] | None = None,
    stderr: Literal["stdout"] | None = None,
    labels: Mapping[str, str] | None = None,
    max_output: int = MAX_EACH,
) -> list[Outcome]:
    """Run ``program`` in all ``sandboxes`` (names or uuids) at once and wait for all ends; one outcome each, in order.

    One in which it cannot run is an outcome with an error, and keeps no other from running. Of each stream
    ``max_output`` bytes are kept. ``timeout`` is for each; one that has not said how it ended 20 s after that gets the
    error `TimedOut`. Cancelled, it ends the command everywhere. All else as in `Sandbox.exec`.
    """
    return run(
        lambda: _together.exec_all(
            sandboxes,
            program,
            args,
            cwd=cwd,
            env=env,
            user=user,
            timeout=timeout,
            rlimits=rlimits,
            stderr=stderr,
            labels=labels,
            max_output=max_output,
        )
    )


def shell_all(
    sandboxes: Sequence[str],
    script: str,
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
    timeout: float | None = None,
    rlimits: Mapping[str, Rlimit] | None = None,
    stderr: Literal["stdout"] | None = None,
    labels: Mapping[str, str] | None = None,
    max_output: int = MAX_EACH,
) -> list[Outcome]:
    """Run ``script`` by the shell of each of ``sandboxes``; everything else as in `exec_all`."""
    return run(
        lambda: _together.shell_all(
            sandboxes,
            script,
            cwd=cwd,
            env=env,
            user=user,
            timeout=timeout,
            rlimits=rlimits,
            stderr=stderr,
            labels=labels,
            max_output=max_output,
        )
    )


def volumes() -> list[VolumeInfo]:
    """All volumes, by name."""
    return run(lambda: _volume.volumes())


def create_volume(name: str, *, size: int | None = None) -> VolumeInfo:
    """Make the volume ``name``, of ``size`` MiB (8 GiB when None), where there is none of that name.

    Raises `AlreadyExists` for one of another size, `InvalidRequest`.
    """
    return run(lambda: _volume.create_volume(name, size=size))


def inspect_volume(name: str) -> VolumeInfo:
    """All about the volume ``name``. Raises `NotFound`."""
    return run(lambda: _volume.inspect_volume(name))


def remove_volume(name: str) -> None:
    """Remove the volume ``name`` with all that is in it. Raises `NotFound`, and `WrongState` while a sandbox has it."""
    run(lambda: _volume.remove_volume(name))


def prune_volumes() -> VolumesPruned:
    """Remove all volumes that no sandbox mounts, with all that is in them."""
    return run(lambda: _volume.prune_volumes())


def stats(
    sandboxes: Sequence[str] | None = None, *, labels: Mapping[str, str] | None = None, sessions: bool = False
) -> Sample:
    """What the host and ``sandboxes`` (names or uuids; None: all) with ``labels`` use now; it takes a second or two.

    With ``sessions`` also what each session uses. Raises `NotFound`.
    """
    return run(lambda: _watching.stats(sandboxes, labels=labels, sessions=sessions))


def follow_stats(
    sandboxes: Sequence[str] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    sessions: bool = False,
    history: float = 0.0,
    step: float = 0.0,
) -> Generator[Sample | HostHistory | SandboxHistory]:
    """As `stats`, again every two seconds; first, with ``history``, what was used in so many seconds before (an hour).

    ``step``: seconds that a value of the history stands for; the core keeps one for each ten. It comes anew when the
    core was started anew, which begins with none. Raises `NotFound`, `CoreUnavailable`.
    """
    return iterated(
        lambda: _watching.follow_stats(
            sandboxes, labels=labels, sessions=sessions, history=history, step=step
        )
    )


def events(
    sandboxes: Sequence[str] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    kinds: Sequence[str] | None = None,
    since: float | None = None,
    until: float | None = None,
    limit: int | None = None,
) -> list[Happening]:
    """What happened to ``sandboxes``, also removed ones, oldest first; with None to all, and to the core.

    ``since`` and ``until`` are in seconds since the epoch; ``limit``: no more than the newest. The core keeps the last
    15,000 or so. Raises `InvalidRequest` for a kind that there is not.
    """
    return run(
        lambda: _watching.events(sandboxes, labels=labels, kinds=kinds, since=since, until=until, limit=limit)
    )


def follow_events(
    sandboxes: Sequence[str] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    kinds: Sequence[str] | None = None,
    since: float | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> Generator[Happening]:
    """As `events`, and what happens from now on; ``after``: those with a higher ``id``. None is told twice or missed,
    also when the core dies meanwhile.
    """
    return iterated(
        lambda: _watching.follow_events(
            sandboxes, labels=labels, kinds=kinds, since=since, after=after, limit=limit
        )
    )


def merged_logs(
    sandboxes: Sequence[str] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    streams: Sequence[Literal["stdout", "stderr"]] | None = None,
    since: float | None = None,
    tail: int | None = None,
    follow: bool = False,
) -> Generator[LogPiece]:
    """What all sessions of ``sandboxes`` (None: all) with ``labels`` wrote, merged by the time at which it came.

    ``since`` is in seconds since the epoch, ``tail`` a number of lines of each session. With ``follow`` it goes on with
    what they write, and with sessions and sandboxes that begin later. Raises `NotFound`, `CoreUnavailable`.
    """
    return iterated(
        lambda: _watching.merged_logs(
            sandboxes, labels=labels, streams=streams, since=since, tail=tail, follow=follow
        )
    )


def serve_metrics(address: str | None = None) -> str | None:
    """Have the core serve metrics in Prometheus' text format, and say where it does.

    ``address`` is ``unix:PATH``, ``127.0.0.1:PORT`` or ``[::1]:PORT``; ``off`` for nowhere; None changes nothing.
    Raises `InvalidRequest`, and what keeps the core from listening there.
    """
    return run(lambda: _watching.serve_metrics(address))
