"""Run the agent as process 1 of a PID namespace of this host, on a socket that was inherited as descriptor 3, and on
a vsock port where one is given with the CID that may connect to it; with a way out of its network namespace where its
addresses are given.

The real agent, but for what it would do to the machine as a whole: it says so on stderr instead.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys

from sandtop.agent.__main__ import DESCRIPTORS, fatal, serve
from sandtop.agent.cgroups import Cgroups
from sandtop.agent.egress.wayout import WayOut, make_way_out
from sandtop.agent.loop import Loop
from sandtop.agent.machine import Identity, Machine
from sandtop.agent.reaper import Reaper
from sandtop.agent.session import Host
from sandtop.agent.vsock import HOST_CID, bound
from sandtop.agent.wire import Outbox

PORT = 3


class HostedMachine(Machine):
    def identify(self, identity: Identity) -> list[str]:
        if identity.hostname == "unwilling":
            raise PermissionError(1, "no such machine")
        say(f"identity {identity.hostname} {identity.entropy!r}")
        return (
            ["/etc/hosts could not be written: No space left on device"]
            if identity.hostname == "full"
            else []
        )

    def trust(self, certificate: str) -> list[str]:
        say(f"trusts {len(certificate)}")
        return []


def say(line: str) -> None:
    os.write(2, f"{line}\n".encode())


def turn_off() -> None:
    say("off")
    os._exit(0)


def main(cgroup: str, vsock_port: str = "", cid: str = "", way_out: str = "") -> None:
    os.set_blocking(PORT, False)
    os.set_inheritable(PORT, False)
    os.chdir("/")
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    null = os.open("/dev/null", os.O_RDWR)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # to raise the hard one takes a right; and this runs in guests, too, which have nothing of sandtop.core
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS[0], hard), hard))
    loop = Loop()
    host = Host(loop, Outbox(), Reaper(loop), Cgroups(loop, cgroup), null, root, "/")
    try:
        listener = bound(int(vsock_port)) if vsock_port else None
        out = made_way_out(*way_out.split(",")) if way_out else None
        serve(
            host,
            PORT,
            HostedMachine(root),
            turn_off,
            None,
            listener,
            int(cid) if cid else HOST_CID,
            way_out=out,
        )
    except BaseException as error:
        fatal_here(error)


def made_way_out(own: str, resolver: str) -> WayOut:
    """As in a machine, whose init has its loopback up."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    return make_way_out(own, resolver)


def fatal_here(error: BaseException) -> None:
    """As in a machine, but the host's power stays on."""
    os.getpid = lambda: 0
    fatal(error)
    os._exit(70)


if __name__ == "__main__":
    main(*sys.argv[1:])
