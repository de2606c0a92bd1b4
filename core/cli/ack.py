"""``sandtop ack``: acknowledge failures and prompts. They stay in the history, and need no attention any more."""

from __future__ import annotations

from sandtop.core.client.link import call, call_all, session_listing
from sandtop.core.contract.sandbox import SandboxAcknowledge, SandboxInspect
from sandtop.core.contract.session import SessionAcknowledge
from sandtop.core.errors import InvalidRequest

from ._args import Parser
from ._output import write, write_json

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.core.contract.sandbox import SandboxInfo
    from sandtop.core.contract.session_results import SessionInfo


def ack_main(argv: Sequence[str]) -> int:
    """Acknowledge all of a sandbox, or of the sessions that are named; print what was acknowledged."""
    parser = Parser(
        "ack",
        "[OPTIONS] NAME [SESSION…]",
        "Say that failures and prompts were seen: they stay in the history, and the console asks for nobody any more.",
        "  sandtop ack demo\n  sandtop ack demo 3fa9\n  sandtop ack --undo demo 3fa9",
    )
    parser.add_argument("name", metavar="NAME", help="the sandbox")
    parser.add_argument(
        "sessions",
        metavar="SESSION",
        nargs="*",
        help="sessions that ended or wait; else all that ask for somebody, and itself",
    )
    parser.add_argument(
        "--undo",
        action="store_true",
        help="take it back: these sessions, or the sandbox itself, ask again",
    )
    parser.json()
    options = parser.parse_args(list(argv))
    sandbox: SandboxInfo | None = None
    keys = list(options.sessions)
    if not keys:
        now = call(SandboxInspect(sandbox=options.name)).sandbox
        failed = now.state in ("failed", "lost") and now.acknowledged == options.undo
        if failed or any(alert.acknowledged == options.undo for alert in now.alerts):
            sandbox = call(SandboxAcknowledge(sandbox=options.name, undo=options.undo)).sandbox
        elif options.undo:
            raise InvalidRequest(
                f"--undo needs the sessions of {options.name}",
                hint=f"sandtop failures {options.name} lists them; such as: sandtop ack --undo {options.name} 3fa9",
            )
        if not options.undo:
            keys = [session.id for session in call_all(session_listing(options.name)) if _asks(session)]
    request = SessionAcknowledge(sandbox=options.name, sessions=keys, undo=options.undo)
    seen = call(request).sessions if keys else []
    if options.json:
        shown = None if sandbox is None else sandbox.to_json()
        write_json({"sandbox": shown, "sessions": [session.to_json() for session in seen]})
    else:
        names = [] if sandbox is None else [sandbox.name]
        write("".join(f"{name}\n" for name in [*names, *[session.id for session in seen]]))
    return 0


def _asks(session: SessionInfo) -> bool:
    """Whether the session needs attention: it ended badly or waits at a prompt, and nobody has acknowledged that."""
    return session.attention is not None
