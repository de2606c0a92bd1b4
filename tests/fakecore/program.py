"""A program of this host, as a session of the fake core."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from sandtop.agent.wire import Data, Eof

if TYPE_CHECKING:
    from sandtop.agent.wire import Frame
    from sandtop.core.contract.session import SessionExec

    from .core import FakeCore
    from .state import FakeSession


class Program:
    """Runs what ``request`` asks for; its output and its end come into ``session``, where ``core`` tells of them.

    Attributes:
        pid: of its first process, which leads a process group.
    """

    def __init__(self, core: FakeCore, session: FakeSession, request: SessionExec, argv: list[str]) -> None:
        self._core = core
        self._session = session
        self._request = request
        self._process: subprocess.Popen[bytes] | None = None
        self._input = threading.Lock()
        """Of a connection that was cut there may be frames left, while the next one sends them again."""
        cwd = request.cwd or "/"
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE if request.stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if request.merge else subprocess.PIPE,
                env={"PATH": os.environ["PATH"], **(request.env or {})},
                cwd=cwd,
                start_new_session=True,
            )
        except OSError as error:
            stage, text = "cwd", f"the working directory {cwd} cannot be used"
            if os.path.isdir(cwd):
                stage, text = "exec", f"{argv[0]}: not found"
            record: dict[str, object] = {
                "reason": "spawn",
                "stage": stage,
                "errno": error.errno,
                "message": text,
            }
            self._end(record, 127 if stage == "exec" else 125, "failed")
        else:
            core.start(self._run, self._process)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def signal(self, number: int) -> None:
        """To all that it started; nothing when it has just ended."""
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def _run(self, process: subprocess.Popen[bytes]) -> None:
        pipes = ((1, process.stdout), (2, process.stderr))
        readers = [threading.Thread(target=self._read, args=(pipe, number)) for number, pipe in pipes if pipe]
        for reader in readers:
            reader.start()
        timed_out = False
        try:
            process.wait(self._request.timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.signal(signal.SIGKILL)  # here nothing is left behind
        for reader in readers:
            reader.join()
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()
        status = process.returncode
        if timed_out:
            self._end({"reason": "timeout", "signal": 9}, 124)
        elif status < 0:
            self._end({"reason": "signaled", "signal": -status}, 128 - status)
        else:
            self._end({"reason": "exited", "code": status}, status)

    def _read(self, pipe: IO[bytes] | None, number: int) -> None:
        assert pipe is not None
        with pipe:
            while data := os.read(pipe.fileno(), 65536):
                self._core.write(self._session, number, data)

    def _end(self, record: dict[str, object], exit_code: int, state: str = "exited") -> None:
        core, session = self._core, self._session
        core.change(lambda: session.end(core.clock(), {"duration_ms": 1, **record}, exit_code, state))

    def accept(self, frame: Frame) -> None:
        """Take input, each byte once; a gap is the client's mistake. It waits for the program, and for no client."""
        session = self._session
        with self._input:
            if self._process is None or self._process.stdin is None or not session.input_open:
                return
            stdin = self._process.stdin
            if isinstance(frame, Data):
                assert frame.offset <= len(session.typed), "input bytes are missing"
                fresh = frame.data[len(session.typed) - frame.offset :]
                try:
                    stdin.write(fresh)
                    stdin.flush()
                except BrokenPipeError:
                    session.input_open = False
                session.typed += fresh
            elif isinstance(frame, Eof):
                assert frame.offset == len(session.typed), "the end of input is not where it ends"
                session.input_open = False
                with suppress(BrokenPipeError):
                    stdin.close()
