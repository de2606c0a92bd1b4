"""``sandtop net``: what a sandbox with an allow-list may reach, and what it connected to."""

from __future__ import annotations

from sandtop.core.client.link import call, secret
from sandtop.core.contract.net import NetAllow, NetDeny, NetLog, NetSecret
from sandtop.core.contract.sandbox import SandboxInspect
from sandtop.core.phrases import connection

from ._args import Parser
from ._output import clock, size, table, write, write_json

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Final

    from sandtop.core.contract.net import Egress

RULE: Final = "HOST[:PORT]|ADDRESS[/BITS][:PORT]"
_WORDS: Final = "ls|allow|deny|log|secret"
_EXAMPLES: Final = """\
  sandtop net demo ls
  sandtop net demo allow git.example.org '*.example.com:443' 192.0.2.0/24:22
  sandtop net demo deny --end git.example.org   # and end what is connected to it
  sandtop net demo log
  sandtop net demo secret API=env:TOKEN@api.example.com   # again, after another core
  sandtop events -f demo --kind connected --kind refused"""


def net_main(argv: Sequence[str]) -> int:
    """List or change what a sandbox may reach, or list what it connected to."""
    parser = Parser(
        "net",
        f"NAME {_WORDS} [OPTIONS] [RULE…]",
        "What a sandbox with an allow-list may reach, and what it connected to. A change counts for new connections.",
        _EXAMPLES,
    )
    parser.add_argument("name", metavar="NAME", help="the sandbox, made with --allow or --network filtered")
    parser.add_argument("action", metavar=_WORDS, choices=_WORDS.split("|"), help="what to do")
    parser.add_argument(
        "rules",
        metavar="RULE",
        nargs="*",
        help=f"{RULE}; a name without one: ports 443 and 80; with secret: SECRETs as create has them",
    )
    parser.add_argument(
        "--end", action="store_true", help="with deny: end connections, too, that are not allowed any more"
    )
    parser.json()
    options = parser.parse_intermixed_args(list(argv))
    if options.rules and options.action in ("ls", "log"):
        parser.error(f"{options.action} takes no RULE")
    if options.end and options.action != "deny":
        parser.error("--end goes with deny")
    if options.action == "log":
        _log(options)
        return 0
    if options.action == "ls":
        sandbox = call(SandboxInspect(sandbox=options.name)).sandbox
    elif options.action == "allow":
        sandbox = call(NetAllow(sandbox=options.name, rules=options.rules)).sandbox
    elif options.action == "secret":
        given = [secret(text) for text in options.rules]
        call(NetSecret(sandbox=options.name, secrets=given))
        return 0
    else:
        sandbox = call(NetDeny(sandbox=options.name, rules=options.rules, end=options.end)).sandbox
    if options.json:
        write_json(sandbox.allow)
    else:
        write("".join(f"{rule}\n" for rule in sandbox.allow))
    return 0


def _log(options: argparse.Namespace) -> None:
    found = call(NetLog(sandbox=options.name)).connections
    if options.json:
        write_json([each.to_json() for each in found])
    else:
        columns = (
            "at",
            "host",
            "port",
            "address",
            "sent",
            "received",
            "times",
            "secrets",
            "what became of it",
        )
        table(columns, [_row(each) for each in found])


def _row(each: Egress) -> tuple[object, ...]:
    ended = each.ended_at is not None
    outcome = connection(allowed=each.allowed, address=each.address, ended=ended, reason=each.reason)
    return (
        clock(each.at), each.host, each.port or "-", each.address or "-", size(each.sent), size(each.received),
        each.times, ", ".join(each.secrets) or "-", outcome,
    )  # fmt: skip
