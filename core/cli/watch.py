"""``sandtop stats``, ``events``, ``top`` and ``console``: what is used, what happens, what runs."""

from __future__ import annotations

import os

from sandtop.core.client.link import ConsoleListening, EventsListening, StatsListening, call, listen
from sandtop.core.contract.core import Events, Stats
from sandtop.core.contract.core_events import Sample
from sandtop.core.contract.limits import EVENT_KINDS
from sandtop.core.contract.sandbox import SandboxConsole, SandboxTop
from sandtop.core.errors import InvalidRequest

from ._args import Parser, count, moment, pair, seconds
from ._output import STDOUT, clock, duration, formatted, size, table, write, write_json, write_line
from ._text import Neutraliser, visible

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

    from sandtop.core.contract.core_events import Happening, HostStats, SandboxStats
    from sandtop.core.contract.sandbox import ProcessInfo

_STATS_EXAMPLES: Final = """\
  sandtop stats                            # of all sandboxes, now
  sandtop stats -f --label team=a          # again every two seconds
  sandtop stats demo --sessions            # and what each session uses
  sandtop stats --history 1h --json        # what was used in the last hour, too"""
_EVENTS_EXAMPLES: Final = """\
  sandtop events --since 10m
  sandtop events -f --kind oom --kind failed
  sandtop events demo --limit 20 --json | jq '.[].message'"""
_TOP_EXAMPLES: Final = """\
  sandtop top demo
  watch sandtop top demo"""
_CONSOLE_EXAMPLES: Final = """\
  sandtop console demo --tail 50
  sandtop console demo -f"""
_HOME: Final = "\033[H\033[J"
_COLUMNS: Final = (
    "name", "state", "cpu", "guest cpu", "memory", "of", "peak", "host memory", "disk", "of", "processes", "sessions",
    "output/s",
)  # fmt: skip


def stats_main(argv: Sequence[str]) -> int:
    """What host and sandboxes use, now or again and again."""
    parser = Parser("stats", "[OPTIONS] [NAME…]", "Show what the host and sandboxes use.", _STATS_EXAMPLES)
    add = parser.add_argument
    add("names", metavar="NAME", nargs="*", help="these sandboxes; else all")
    add("-f", "--follow", action="store_true", help="again every two seconds, until ctrl-c")
    add("--label", action="append", type=pair, metavar="KEY=VALUE", help="those with this label (repeatable)")
    add("--sessions", action="store_true", help="also what each session uses")
    add(
        "--history",
        type=seconds,
        metavar="TIME",
        help="with --json: first what was used in the last TIME (1h)",
    )
    parser.json()
    options = parser.parse_args(list(argv))
    if options.history is not None and not options.json:
        raise InvalidRequest("--history goes with --json", hint="see 'sandtop stats --help'")
    request = Stats(
        sandboxes=options.names or None,
        labels=dict(options.label or ()),
        history=options.history or 0.0,
        sessions=options.sessions,
        follow=options.follow,
    )
    found: list[object] = []
    for item in listen(StatsListening(request)):
        if options.json and options.follow:
            write_line(item.to_json())
        elif options.json:
            found.append(item.to_json())
        elif isinstance(item, Sample):
            _show(item, again=options.follow, sessions=options.sessions)
    if found:
        write_json(found if options.history is not None else found[-1])
    return 0


def _show(sample: Sample, *, again: bool, sessions: bool) -> None:
    """Print it; again and again a terminal shows it in the place of the one before."""
    text = _host(sample.host) + "\n\n" + formatted(_COLUMNS, [_row(one) for one in sample.sandboxes])
    if sessions:
        rows = [
            (
                one.sandbox,
                its.id,
                _percent(its.cpu),
                duration(its.cpu_seconds),
                size(its.memory),
                its.processes,
            )
            for one in sample.sandboxes
            for its in one.by_session or ()
        ]
        text += "\n" + formatted(("name", "session", "cpu", "time", "memory", "processes"), rows)
    if again:
        text = _HOME + text if os.isatty(STDOUT) else text + "\n"
    write(text)


def _host(host: HostStats) -> str:
    states = (
        ", ".join(f"{count} {state}" for state, count in sorted(host.sandboxes.items())) or "no sandboxes"
    )
    free = "" if host.disk_free is None else f", disk {size(host.disk_free)} free of {size(host.disk_total)}"
    return (
        f"host: cpu {_percent(host.cpu)} of {host.cpus * 100}%, load {host.load:.2f}, "
        f"memory {size(host.memory)} of {size(host.memory_total)}{free}\n"
        f"{states}, {host.sessions} sessions; core: cpu {_percent(host.core_cpu)}, {size(host.core_memory)}, "
        f"latency {host.latency * 1000:.0f} ms, {host.clients} clients"
    )


def _row(one: SandboxStats) -> tuple[object, ...]:
    return (
        one.sandbox, one.state, _percent(one.cpu), _percent(one.guest_cpu), size(one.memory), size(one.memory_limit),
        size(one.memory_peak), size(one.host_memory), size(one.disk), size(one.disk_size),
        "-" if one.processes is None else one.processes, one.sessions,
        "-" if one.output_rate is None else size(one.output_rate),
    )  # fmt: skip


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}%"


def events_main(argv: Sequence[str]) -> int:
    """What happened, and what happens."""
    parser = Parser(
        "events",
        "[OPTIONS] [NAME…]",
        "List what happened, oldest first: to sandboxes, to their sessions, and to the core.",
        _EVENTS_EXAMPLES,
    )
    add = parser.add_argument
    add("names", metavar="NAME", nargs="*", help="of these sandboxes, also removed ones; else all")
    add("-f", "--follow", action="store_true", help="and what happens from now on, until ctrl-c")
    add("--since", type=moment, metavar="TIME", help="from then on: 10m, 2h, or 2026-01-31T12:00:00")
    add("--until", type=moment, metavar="TIME", help="no later than that")
    add("--limit", type=count, metavar="N", help="the newest N of them")
    add(
        "--label",
        action="append",
        type=pair,
        metavar="KEY=VALUE",
        help="of those with this label (repeatable)",
    )
    add(
        "--kind",
        action="append",
        choices=EVENT_KINDS,
        metavar="KIND",
        help=f"of this kind (repeatable): {', '.join(EVENT_KINDS)}",
    )
    parser.json()
    options = parser.parse_args(list(argv))
    request = Events(
        sandboxes=options.names or None,
        labels=dict(options.label or ()),
        kinds=options.kind,
        since=options.since,
        until=options.until,
        limit=options.limit,
        follow=options.follow,
    )
    found: list[object] = []
    for event in listen(EventsListening(request)):
        if not options.json:
            write(_event_line(event))
        elif options.follow:
            write_line(event.to_json())
        else:
            found.append(event.to_json())
    if options.json and not options.follow:
        write_json(found)
    return 0


def _event_line(event: Happening) -> str:
    cells = [clock(event.at), f"{event.kind:<16}", event.sandbox or "-", event.session or "", event.message]
    return "  ".join(visible(cell) for cell in cells if cell) + "\n"


def top_main(argv: Sequence[str]) -> int:
    """The processes of a sandbox."""
    parser = Parser(
        "top", "[OPTIONS] NAME", "List the processes of a sandbox, the busiest first.", _TOP_EXAMPLES
    )
    parser.add_argument("name", metavar="NAME", help="the sandbox")
    parser.json()
    options = parser.parse_args(list(argv))
    answer = call(SandboxTop(sandbox=options.name))
    if options.json:
        write_json(answer.to_json())
        return 0
    columns = ("pid", "user", "session", "state", "cpu", "time", "memory", "threads", "command")
    table(columns, [_process_row(one) for one in answer.processes])
    if answer.total > len(answer.processes):
        write(f"and {answer.total - len(answer.processes)} more\n")
    return 0


def _process_row(one: ProcessInfo) -> tuple[object, ...]:
    return (
        one.pid, one.user, one.session or "-", one.state, _percent(one.cpu), duration(one.cpu_seconds),
        size(one.memory), one.threads, one.command,
    )  # fmt: skip


def console_main(argv: Sequence[str]) -> int:
    """What a sandbox's kernel and agent print."""
    parser = Parser(
        "console",
        "[OPTIONS] NAME",
        "Show what a sandbox's kernel and agent have printed since its last start.",
        _CONSOLE_EXAMPLES,
    )
    add = parser.add_argument
    add("name", metavar="NAME", help="the sandbox")
    add("-f", "--follow", action="store_true", help="go on until its machine ends")
    add("--tail", type=count, metavar="N", help="the last N lines")
    parser.json()
    options = parser.parse_args(list(argv))
    request = SandboxConsole(sandbox=options.name, tail=options.tail, follow=options.follow)
    pieces = listen(ConsoleListening(request))
    if options.json:
        _console_json(pieces, follow=options.follow)
        return 0
    shown = Neutraliser() if os.isatty(STDOUT) else None
    for piece in pieces:
        write(piece if shown is None else shown.feed(piece))
    if shown is not None:
        write(shown.feed(b"", final=True))
    return 0


def _console_json(pieces: Iterable[bytes], *, follow: bool) -> None:
    """The lines: each as an object of its own where it goes on, else all in one."""
    lines: list[str] = []
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            text = line.rstrip(b"\r").decode("utf-8", "backslashreplace")
            if follow:
                write_line({"line": text})
            else:
                lines.append(text)
    if rest:
        lines.append(rest.decode("utf-8", "backslashreplace"))
    if not follow:
        write_json({"lines": lines})
    elif rest:
        write_line({"line": lines[-1]})
