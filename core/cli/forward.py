"""``sandtop forward`` and ``sandtop port``: ports of this host that lead into a sandbox."""

from __future__ import annotations

import sys

from sandtop.core.cli import say
from sandtop.core.client.link import Conversation, Forward, call, port_forward, where
from sandtop.core.contract.sandbox import SandboxForward, SandboxInspect
from sandtop.core.errors import NotFound

from ._args import Parser, count
from ._output import write, write_json

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from sandtop.agent.wire import Frame

PORTS: Final = "[[BIND:]HOSTPORT:]GUESTPORT"
_EXAMPLES: Final = """\
  sandtop forward demo 8080:80
  sandtop forward demo 80 5432         # any ports of this host: it says which
  sandtop forward demo '[::1]:8443:443'"""


def forward_main(argv: Sequence[str]) -> int:
    """Have ports of this host lead to ports of a sandbox until interrupted."""
    parser = Parser(
        "forward",
        f"[OPTIONS] NAME {PORTS}…",
        "Have ports of this host lead to ports of a sandbox, until interrupted. It needs no network there.",
        _EXAMPLES,
    )
    parser.add_argument("name", metavar="NAME", help="the sandbox")
    parser.add_argument(
        "ports",
        metavar="PORTS",
        nargs="+",
        help=f"{PORTS}: BIND is 127.0.0.1 unless given, HOSTPORT any that is free",
    )
    parser.add_argument("--json", action="store_true", help="print where it listens as JSON")
    options = parser.parse_args(list(argv))
    request = SandboxForward(sandbox=options.name, ports=[port_forward(text) for text in options.ports])
    _Forwarding(Forward(request), as_json=options.json).run()
    return 0


class _Forwarding(Conversation):
    """Says what comes of a `Forward`."""

    def __init__(self, forward: Forward, *, as_json: bool) -> None:
        super().__init__(forward)
        self._forward = forward
        self._as_json = as_json

    def take(self, frame: Frame) -> None:
        """Say where it listens, and why somebody who connected was refused."""
        from sandtop.agent.wire import Control

        kind = frame.message["type"] if isinstance(frame, Control) else None
        if isinstance(frame, Control) and kind == "forward-failed":
            say(f"{frame.message.get('reason')}")
        elif kind == "forwarding" and (forwarding := self._forward.forwarding) is not None:
            if self._forward.times > 1:
                say("the core came back: connections were ended, and it listens again")
            elif self._as_json:
                write_json([port.to_json() for port in forwarding.ports])
                sys.stdout.flush()  # whoever reads it waits for it
            else:
                for port in forwarding.ports:
                    say(f"forwarding from {where(port)} -> {port.guest_port}")


def port_main(argv: Sequence[str]) -> int:
    """List the published ports of a sandbox."""
    parser = Parser(
        "port",
        "[OPTIONS] NAME [GUESTPORT]",
        "List the published ports of a sandbox, or where one of them is on this host.",
        "  sandtop port demo\n  curl http://$(sandtop port demo 80)/",
    )
    parser.add_argument("name", metavar="NAME", help="the sandbox")
    parser.add_argument("port", metavar="GUESTPORT", nargs="?", type=count, help="of this one alone")
    parser.json()
    options = parser.parse_args(list(argv))
    sandbox = call(SandboxInspect(sandbox=options.name)).sandbox
    ports = [port for port in sandbox.ports if options.port in (None, port.guest_port)]
    if options.port is not None and not ports:
        raise NotFound(
            f"port {options.port} of {sandbox.name} is not published",
            sandbox=sandbox.name,
            hint=f"sandtop forward {sandbox.name} {options.port} has one of this host lead there",
        )
    if options.json:
        write_json([port.to_json() for port in ports])
    elif options.port is not None:
        write("".join(f"{where(port)}\n" for port in ports))
    else:
        write("".join(f"{port.guest_port}/tcp -> {where(port)}\n" for port in ports))
    return 0
