"""Run inside a guest, on its kernel's AF_VSOCK: agents of this project that listen on it, and cores that connect.

Both ends are in the guest (vsock_loopback), so a core's CID is 1 here and not the host's 2. Prints a line of JSON: what
was seen, by the name of each case.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.agent.core_side import TOKEN, CoreSide

from sandtop.agent.wire import VSOCK_PORT, marker

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

HERE = Path(__file__).parent
LOCAL = 1  # VMADDR_CID_LOCAL
OTHER_PORT = 1022
NUMBERS = b"".join(b"%d\n" % n for n in range(1, 60_001))
_FINIT_MODULE = 313  # x86-64


def insert_modules() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for name in ("vsock", "vmw_vsock_virtio_transport_common", "vsock_loopback"):
        with (HERE / f"{name}.ko").open("rb") as file:
            if libc.syscall(_FINIT_MODULE, file.fileno(), b"", 0) != 0:
                number = ctypes.get_errno()
                assert number == errno.EEXIST, f"{name}: {os.strerror(number)}"


def dial(port: int = VSOCK_PORT) -> socket.socket:
    end = time.monotonic() + 60
    while True:
        caller = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        caller.settimeout(10)
        try:
            caller.connect((LOCAL, port))
        except ConnectionResetError:  # the agent is still starting
            caller.close()
            assert time.monotonic() < end
            time.sleep(0.05)
        else:
            return caller


@contextmanager
def agent(port: int, cid: int) -> Generator[socket.socket]:
    """An agent that listens on ``port`` for ``cid``; the host's end of its virtio-serial port."""
    ours, theirs = socket.socketpair()
    cgroup = Path(f"/sys/fs/cgroup/vsock-{port}")
    cgroup.mkdir()
    process = subprocess.Popen(
        [
            "bash", "-c", 'exec "$@" 3<&"$0"', str(theirs.fileno()),  # its port is descriptor 3
            "unshare", "--pid", "--fork", "--kill-child", "--mount-proc",
            sys.executable, str(HERE / "hosted.py"), str(cgroup), str(port), str(cid),
        ],
        pass_fds=[theirs.fileno()],
    )  # fmt: skip
    theirs.close()
    try:
        yield ours
    finally:
        process.kill()
        process.wait()
        ours.close()
        _remove(cgroup)


def _remove(cgroup: Path) -> None:
    (cgroup / "cgroup.kill").write_text("1")
    end = time.monotonic() + 10
    while "populated 1" in (cgroup / "cgroup.events").read_text():
        assert time.monotonic() < end, "the agent's processes do not die"
        time.sleep(0.01)
    for folder in sorted((path for path in cgroup.rglob("*") if path.is_dir()), reverse=True):
        folder.rmdir()
    cgroup.rmdir()


def hung_up(said: bytes, port: int = VSOCK_PORT) -> bool:
    """Whether whoever says that gets no byte and an end."""
    with dial(port) as caller:
        try:
            caller.sendall(said)
            return caller.recv(4096) == b""
        except (BrokenPipeError, ConnectionResetError):  # at once, or before all of it was read
            return True


def linked(before: CoreSide | None = None) -> CoreSide:
    """A core on a connection of its own, which goes on where the one ``before`` was cut."""
    core = CoreSide(dial())
    if before is not None:
        before.sock.close()
        core.take_over(before)
    core.link()
    return core


class Cases:
    """In the order in which they are carried out; each returns what it saw."""

    def __init__(self, serial: socket.socket, other: socket.socket) -> None:
        """``serial`` is the port of the agent that all cases speak to, ``other`` of one for the host's CID."""
        self.serial = serial
        self.other = other
        self.core: CoreSide

    def before_the_secret_is_known(self) -> object:
        return hung_up(marker(TOKEN, "b" * 32))

    def a_link_after_it_is(self) -> object:
        CoreSide(self.serial).link()
        self.core = linked()
        assert self.core.configure() is None
        run = self.core.shell("echo out; echo err >&2; exit 7")
        return [run.stdout.decode(), run.stderr.decode(), (run.record or {}).get("code")]

    def every_wrong_secret(self) -> object:
        wrong = [marker("0" * 32, "b" * 32), marker(TOKEN[:-1] + "0", "b" * 32), b"\n" * 500, b"\xff" * 500]
        return [hung_up(said) for said in wrong] + [self.core.ping() < 10]

    def output_over_connections_that_are_cut(self) -> object:
        run = self.core.start("seq", "1", "60000")
        for reached in (1, 120_000, 300_000):
            self.core.wait(lambda reached=reached: len(run.stdout) >= reached)  # type: ignore[misc]
            self.core = linked(self.core)
        self.core.finish(run)
        return run.stdout == NUMBERS

    def input_over_connections_that_are_cut(self) -> object:
        data = secrets.token_bytes(600_000)
        run = self.core.start("cat", stdin=True)
        self.core.write(run, data)
        self.core.close(run)
        for reached in (1, 400_000):
            self.core.wait(lambda reached=reached: run.stdin.acked >= reached)  # type: ignore[misc]
            self.core = linked(self.core)
        self.core.finish(run)
        return run.stdout == data

    def a_stalled_stream_holds_up_no_other(self) -> object:
        stalled = self.core.start("yes", frozen=True)
        quick = self.core.run("echo", "through")
        assert self.core.operate("signal", id=stalled.id, signal=9, scope="all") is None
        self.core.thaw(stalled)
        self.core.finish(stalled)
        return quick.stdout.decode()

    def one_connection_after_the_other(self) -> object:
        for _ in range(8):
            self.core = linked(self.core)
        return self.core.run("echo", "still").stdout.decode()

    def half_open_connections(self) -> object:
        crowd = [dial() for _ in range(20)]  # more than may wait
        self.core = linked(self.core)
        seen = self.core.run("echo", "let in").stdout.decode()
        for each in crowd:
            each.close()
        return seen

    def the_port_is_taken(self) -> object:
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as thief:
            try:
                thief.bind((socket.VMADDR_CID_ANY, VSOCK_PORT))
            except OSError as error:
                return errno.errorcode[error.errno or 0]
        return "bound"

    def the_serial_port_takes_over_and_back(self) -> object:
        core = CoreSide(self.serial)
        core.take_over(self.core)
        core.link()
        seen = [core.run("echo", "serial").stdout.decode()]
        self.core = linked(core)
        return [*seen, self.core.run("echo", "vsock").stdout.decode()]

    def who_is_not_the_host(self) -> object:
        CoreSide(self.other).link()
        return hung_up(marker(TOKEN, "b" * 32), OTHER_PORT)


def main() -> None:
    insert_modules()
    seen: dict[str, object] = {}
    with agent(VSOCK_PORT, LOCAL) as serial, agent(OTHER_PORT, 2) as other:
        cases = Cases(serial, other)
        for name in [name for name in vars(Cases) if not name.startswith("_")]:
            case: Callable[[], object] = getattr(cases, name)
            begun = time.monotonic()
            seen[name] = case()
            sys.stderr.write(f"{name}: {time.monotonic() - begun:.1f} s\n")
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
