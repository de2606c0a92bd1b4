"""The peers that sandtop is measured against, in the same guest: qemu-guest-agent and dropbear.

Their image also has what the work of `bench.python` needs. Both peers are Debian's. The guest agent has a virtio-serial
port of its own; dropbear is reached through QEMU's user-mode network. sandtop gives a machine neither, so the bench
puts a wrapper around QEMU first on the PATH, which adds them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, cast

from sandtop import build_image, images
from sandtop.core.client.link import stop_core

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from sandtop import Sandbox

_PEERS: Final = "dropbear-bin,qemu-guest-agent"
_WORK: Final = "apt,ca-certificates,gcc,iproute2,libc6-dev,perl,procps,python3,python3-pytest"
# as in sandtop's own image: byte code that never looks at its source
_FINISH: Final = """\
set -eu
cd "$1"
rm -rf usr/share/doc usr/share/man usr/share/locale
find usr/lib/python3* -name __pycache__ -prune -exec rm -rf {} +
chroot . python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /usr/lib/python3 /usr/lib/python3.11
"""
IMAGE: Final = f"bench-{hashlib.sha256((_PEERS + _WORK + _FINISH).encode()).hexdigest()[:8]}"
_DEADLINE: Final = 60.0
_RUN_DEADLINE: Final = 120.0
_SHORT: Final = 0.1
# sh, because QEMU's uid may not be able to read the Python that runs this
_WRAPPER: Final = """\
#!/bin/sh
machine=
for word; do
  shift
  case $word in
    -uuid) machine=1 ;;
    user,id=net*) word=$word,hostfwd=tcp:127.0.0.1:{port}-:22 ;;
  esac
  set -- "$@" "$word"
done
[ -z "$machine" ] || set -- "$@" -chardev "socket,id=qga,path={qga},server=on,wait=off" \\
  -device virtserialport,chardev=qga,name=org.qemu.guest_agent.0
exec {qemu} "$@"
"""


@dataclass(frozen=True, slots=True)
class Peers:
    """Where the peers of one guest are reached.

    Attributes:
        folder: holds the sockets and the keys; anybody may enter it, because QEMU has a uid of its own.
        port: dropbear's, on the host's loopback. The guest's network is to be user:host-loopback: on user its answers
            end in a filter.
    """

    folder: Path
    port: int

    @property
    def qga_socket(self) -> Path:
        return self.folder / "qga.sock"

    def wrap_qemu(self) -> None:
        """Put the wrapper first on this process's PATH, and so on the core's."""
        real = shutil.which("qemu-system-x86_64")
        assert real is not None, "qemu-system-x86_64 is not installed"
        wrapper = self.folder / "bin" / "qemu-system-x86_64"
        wrapper.parent.mkdir(exist_ok=True)
        wrapper.write_text(_WRAPPER.format(port=self.port, qga=self.qga_socket, qemu=real))
        wrapper.chmod(0o755)
        os.environ["PATH"] = f"{wrapper.parent}:{os.environ['PATH']}"

    def _make_key(self) -> str:
        """Make a key for ssh; its public half."""
        key = self.folder / "key"
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, timeout=_DEADLINE
        )
        return key.with_suffix(".pub").read_text()

    async def let_in(self, sandbox: Sandbox) -> None:
        """Let ssh's key log in to ``sandbox``, in which dropbear is still to be started."""
        folders = "mkdir -p /root/.ssh /etc/dropbear && chmod 700 /root /root/.ssh"
        await sandbox.shell(f"{folders} && echo '{self._make_key()}' > /root/.ssh/authorized_keys")

    async def start(self, sandbox: Sandbox) -> None:
        """Start both in the guest, and see that ssh answers."""
        await self.let_in(sandbox)
        ports = await sandbox.shell("grep -l org.qemu.guest_agent.0 /sys/class/virtio-ports/*/name")
        port = Path(ports.text.strip()).parent.name
        for command in ("dropbear -R -F -E -p 22", f"qemu-ga -m virtio-serial -p /dev/{port}"):
            await (await sandbox.exec_stream("sh", ["-c", f"exec {command}"], on_exit="detach")).aclose()
        quiet = subprocess.DEVNULL
        ssh = self.ssh("true", shared=True)
        wait_for("ssh", lambda: subprocess.run(ssh, stdout=quiet, stderr=quiet).returncode == 0)

    def ssh(self, *command: str, shared: bool) -> list[str]:
        """The command line for ssh to the guest; ``shared`` over one master connection."""
        master = "auto" if shared else "no"
        options = [
            "BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR",
            f"ControlMaster={master}", f"ControlPath={f'{self.folder}/master' if shared else 'none'}",
            "ControlPersist=600",
        ]  # fmt: skip
        words = [word for option in options for word in ("-o", option)]
        where = ["-i", str(self.folder / "key"), "-p", str(self.port), "root@127.0.0.1"]
        return ["ssh", "-F", "/dev/null", *words, *where, *command]


async def prepare(folder: Path) -> Peers:
    """The peers of a guest that is made next, of the image `IMAGE`."""
    peers = Peers(folder, free_port())
    peers.wrap_qemu()
    await asyncio.to_thread(stop_core)  # a core that runs already would not find the wrapper
    if IMAGE not in {image.name for image in await images()}:
        tar = folder / "peers.tar"
        await asyncio.to_thread(build_tree, tar)
        await build_image(IMAGE, tar)
    return peers


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return cast("int", probe.getsockname()[1])


def build_tree(tar: Path) -> None:
    """Make the guest's root file system with the peers in it."""
    options = ["--quiet", "--variant=minbase", f"--include={_PEERS},{_WORK}", f"--customize-hook={_FINISH}"]
    subprocess.run(["mmdebstrap", *options, "bookworm", str(tar)], check=True, timeout=600)


def run(command: list[str]) -> None:
    """Run ``command`` to its end. Raises CalledProcessError.

    Not by subprocess.run with a timeout: that looks for the end at ever longer intervals, of up to 50 ms.
    """
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        watchdog = threading.Timer(_RUN_DEADLINE, process.kill)
        watchdog.start()
        try:
            status = process.wait()
        finally:
            watchdog.cancel()
    if status != 0:
        raise subprocess.CalledProcessError(status, command)


class GuestAgent:
    """A client of qemu-guest-agent, on a blocking socket: guest-exec, then guest-exec-status until it has ended."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_DEADLINE)
        self._socket.connect(os.fspath(path))
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        self._ask("guest-sync", id=os.getpid())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._lines.close()
        self._socket.close()

    def _ask(self, command: str, **arguments: object) -> dict[str, object]:
        self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        answer = json.loads(self._lines.readline())
        return cast("dict[str, object]", answer["return"]) if isinstance(answer["return"], dict) else {}

    def run(self, path: str, *arguments: str) -> int:
        """Run ``path`` with ``arguments``; its exit code.

        It asks for the status again at once, and after a while at intervals of a fiftieth of what has passed.
        """
        options = {"capture-output": True}
        pid = self._ask("guest-exec", path=path, arg=arguments, **options)["pid"]
        begun = time.monotonic()
        while (passed := time.monotonic() - begun) < _RUN_DEADLINE:
            status = self._ask("guest-exec-status", pid=pid)
            if status["exited"]:
                return cast("int", status["exitcode"])
            if passed > _SHORT:
                time.sleep(passed / 50)
        raise TimeoutError(f"{path} did not end")


def wait_for(what: str, ready: Callable[[], bool]) -> None:
    """Poll until ``ready``. Raises TimeoutError naming ``what``."""
    deadline = time.monotonic() + _DEADLINE
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} was not there in {_DEADLINE:g} s")
        time.sleep(0.05)
