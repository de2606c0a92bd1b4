"""``sandtop ack``: acknowledge failures and prompts. They stay in the history, and need no attention any more."""

from __future__ import annotations

from sandtop.core.client.link import as_object, as_objects, call, call_all

from ._args import Parser
from ._output import write, write_json

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def ack_main(argv: Sequence[str]) -> int:
    """Acknowledge all of a sandbox, or of the sessions that are named; print what was acknowledged."""
    parser = Parser(
        "ack",
        "[OPTIONS] NAME [SESSION…]",
        "Say that failures and prompts were seen: they stay in the history, and the console asks for nobody any more.",
        "  sandtop ack demo\n  sandtop ack demo 3fa9",
    )
    parser.add_argument("name", metavar="NAME", help="the sandbox")
    parser.add_argument(
        "sessions",
        metavar="SESSION",
        nargs="*",
        help="sessions that ended or wait; else all that ask for somebody, and itself",
    )
    parser.json()
    options = parser.parse_args(list(argv))
    sandbox: dict[str, object] = {}
    keys = list(options.sessions)
    if not keys:
        sandbox = as_object(call("sandbox.inspect", {"sandbox": options.name}).get("sandbox"))
        if sandbox.get("state") in ("failed", "lost") and not sandbox.get("acknowledged"):
            sandbox = as_object(call("sandbox.acknowledge", {"sandbox": options.name}).get("sandbox"))
        else:
            sandbox = {}
        listed = call_all("session.list", {"sandbox": options.name})
        keys = [str(session["id"]) for session in listed if _asks(session)]
    fields = {"sandbox": options.name, "sessions": keys}
    seen = as_objects(call("session.acknowledge", fields).get("sessions")) if keys else []
    if options.json:
        write_json({"sandbox": sandbox or None, "sessions": seen})
    else:
        names = [str(sandbox["name"])] if sandbox else []
        write("".join(f"{name}\n" for name in [*names, *[str(session["id"]) for session in seen]]))
    return 0


def _asks(session: Mapping[str, object]) -> bool:
    """Whether the session needs attention: it ended badly or waits at a prompt, and nobody has acknowledged that."""
    return session.get("attention") is not None
