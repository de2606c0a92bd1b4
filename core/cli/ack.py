"""``sandtop ack``: acknowledge failures and prompts. They stay in the history, and need no attention any more."""

from __future__ import annotations

from sandtop.core.client.link import call, call_all, sandbox_listing, session_listing
from sandtop.core.contract.sandbox import SandboxAcknowledge, SandboxInspect
from sandtop.core.contract.session import SessionAcknowledge
from sandtop.core.errors import InvalidRequest

from ._args import Parser, add_label, labelled
from ._output import write, write_json

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.core.contract.sandbox import SandboxInfo
    from sandtop.core.contract.session_results import SessionInfo


def ack_main(argv: Sequence[str]) -> int:
    """Acknowledge all of sandboxes, or the sessions that are named; print what was acknowledged."""
    parser = Parser(
        "ack",
        "[OPTIONS] NAME [SESSION…]\n       sandtop ack [OPTIONS] --all | --label KEY=VALUE",
        "Say that failures and prompts were seen: they stay in the history, and the console asks for nobody any more.",
        "  sandtop ack demo\n  sandtop ack demo 3fa9\n  sandtop ack --undo demo 3fa9\n  sandtop ack --label team=a",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="the sandbox")
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
    parser.add_argument("--all", action="store_true", help="of all sandboxes, in place of NAME")
    add_label(parser, "of those with this label (repeatable), in place of NAME")
    parser.json()
    options = parser.parse_args(list(argv))
    if options.all or options.label:
        return _of_many(options.name, options.label, undo=options.undo, json=options.json)
    if not options.name:
        raise InvalidRequest(
            "no sandbox was named", hint="NAME, --all, or --label KEY=VALUE; see 'sandtop ack --help'"
        )
    keys = list(options.sessions)
    sandbox: SandboxInfo | None = None
    if not keys:
        now = call(SandboxInspect(sandbox=options.name)).sandbox
        if _itself(now, undo=options.undo):
            sandbox = call(SandboxAcknowledge(sandbox=options.name, undo=options.undo)).sandbox
        elif options.undo:
            raise InvalidRequest(
                f"--undo needs the sessions of {options.name}",
                hint=f"sandtop failures {options.name} lists them; such as: sandtop ack --undo {options.name} 3fa9",
            )
        if not options.undo:
            keys = [session.id for session in call_all(session_listing(options.name)) if _asks(session)]
    seen = _sessions(options.name, keys, undo=options.undo)
    if options.json:
        write_json(_as_json(sandbox, seen))
    else:
        write(_as_text(sandbox, seen))
    return 0


def _of_many(name: str, labels: Sequence[tuple[str, str]] | None, *, undo: bool, json: bool) -> int:
    """All that ask, of all sandboxes with ``labels``."""
    if name or undo:
        given = "NAME" if name else "--undo"
        raise InvalidRequest(f"{given} does not go with --all and --label", hint="see 'sandtop ack --help'")
    sandboxes = labelled(call_all(sandbox_listing()), labels)
    if labels and not sandboxes:
        which = " ".join(f"{key}={value}" for key, value in labels)
        raise InvalidRequest(f"no sandbox has the label {which}", hint="see: sandtop ls")
    asking = [session for session in call_all(session_listing()) if _asks(session)]
    found: list[tuple[SandboxInfo | None, list[SessionInfo]]] = []
    for one in sandboxes:
        itself = _itself(one, undo=False)
        keys = [session.id for session in asking if session.sandbox == one.name]
        if itself or keys:
            sandbox = call(SandboxAcknowledge(sandbox=one.uuid)).sandbox if itself else None
            found.append((sandbox, _sessions(one.uuid, keys, undo=False)))
    if json:
        write_json([_as_json(*one) for one in found])
    else:
        write("".join(_as_text(*one) for one in found))
    return 0


def _sessions(sandbox: str, keys: list[str], *, undo: bool) -> list[SessionInfo]:
    request = SessionAcknowledge(sandbox=sandbox, sessions=keys, undo=undo)
    return call(request).sessions if keys else []


def _as_json(sandbox: SandboxInfo | None, seen: Sequence[SessionInfo]) -> dict[str, object]:
    shown = None if sandbox is None else sandbox.to_json()
    return {"sandbox": shown, "sessions": [session.to_json() for session in seen]}


def _as_text(sandbox: SandboxInfo | None, seen: Sequence[SessionInfo]) -> str:
    names = [] if sandbox is None else [sandbox.name]
    return "".join(f"{name}\n" for name in [*names, *[session.id for session in seen]])


def _itself(sandbox: SandboxInfo, *, undo: bool) -> bool:
    """Whether it failed, or has an alert, that nobody has acknowledged; with ``undo``, that somebody has."""
    failed = sandbox.state in ("failed", "lost") and sandbox.acknowledged == undo
    return failed or any(alert.acknowledged == undo for alert in sandbox.alerts)


def _asks(session: SessionInfo) -> bool:
    """Whether the session needs attention: it ended badly or waits at a prompt, and nobody has acknowledged that."""
    return session.attention is not None
