"""The lines of a sandbox's own page: what it uses, its processes, events and console, how its sessions ended."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Final

from sandtop.core.phrases import connection, endpoint
from sandtop.tui.ansi import plain
from sandtop.tui.text import age, bar, neutral, one_line, rate, size, sparkline
from sandtop.tui.widgets.cells import fit

from .detail_views import BAD_KINDS, GLYPHS, memory_tone
from .facts import sandbox_facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.core.client.sdk import Egress, Happening, ProcessInfo, SandboxHistory
    from sandtop.tui.store import SandboxView
    from sandtop.tui.widgets.worded import Words

_BAR: Final = 20
PROCESS_HEAD: Final[Words] = (
    (f"{'PID':>7} {'USER':<9}S {'CPU':>5} {'MEM':>6} {'TIME':>6}  COMMAND", "muted"),
)


def usage(sandbox: SandboxView, hour: SandboxHistory | None, width: int, now: float) -> list[Words]:
    """State, processors, memory, disk and output, each with a line of the last hour where there is room."""
    info, stats = sandbox.info, sandbox.usage.stats
    glyph, tone = GLYPHS.get(info.state, ("?", "muted"))
    up = f", up {age(now - info.started_at)}" if info.started_at else ""
    need = f"   ▲ {sandbox.need.text}" if sandbox.need.wants_someone else ""
    reason = f"   {neutral(info.reason)}" if info.reason and not need else ""
    lines: list[Words] = [((f"{glyph} {info.state}{up}", tone), (need, "bad"), (reason, "muted"))]
    if stats is None:
        return [*lines, (("the core has not measured it yet", "muted"),)]
    room = max(0, min(60, width - 66))
    if stats.cpu is not None:
        share, past = (
            stats.cpu / 100 / max(1, info.cpus),
            _past(hour.cpu if hour else [], room, 100.0 * info.cpus),
        )
        inside = f", in the guest {stats.guest_cpu:.0f}%" if stats.guest_cpu is not None else ""
        lines.append(_meter("cpu", share, f"{stats.cpu:.0f}% of {info.cpus * 100}%{inside}", past, "accent"))
    if stats.memory is not None and (percent := sandbox.memory_percent) is not None:
        past = _past(hour.memory if hour else [], room, float(stats.memory_limit))
        peak = f", at most {size(stats.memory_peak)}" if stats.memory_peak else ""
        what = f"{size(stats.memory)} of {size(stats.memory_limit)}{peak}"
        lines.append(
            _meter("memory", percent / 100, what, past, memory_tone(percent).replace("plain", "accent"))
        )
    if stats.disk is not None and stats.disk_size:
        past = _past(hour.disk if hour else [], room, float(stats.disk_size))
        what = f"{size(stats.disk)} of {size(stats.disk_size)}"
        lines.append(_meter("disk", stats.disk / stats.disk_size, what, past, "accent"))
    held = f"   {size(stats.host_memory)} of the host's memory" if stats.host_memory else ""
    speed = f" at {rate(stats.output_rate)}" if stats.output_rate and rate(stats.output_rate) else ""
    count = f"{stats.processes} processes in " if stats.processes is not None else ""
    lines.append(
        (
            (
                f"{count}{stats.sessions} running sessions   {size(stats.output_bytes)} written{speed}{held}",
                "muted",
            ),
        )
    )
    return lines


def _meter(name: str, share: float, what: str, past: str, tone: str) -> Words:
    return (
        (f"{name:<7}", "muted"),
        (bar(share, _BAR), tone),
        (f"  {fit(what, 32)}", "plain"),
        (past, "accent"),
    )


def _past(values: Sequence[float | None], width: int, ceiling: float) -> str:
    known = tuple(value or 0.0 for value in values)
    return sparkline(known, ceiling, width) if width and any(known) else ""


def process_lines(processes: Sequence[ProcessInfo]) -> list[Words]:
    """A line each; what takes most of the processors first."""
    return [
        (
            (f"{one.pid:>7} {fit(neutral(one.user, 30), 8)} {one.state[:1]} ", "muted"),
            (f"{one.cpu:>5.1f} {size(one.memory):>6} ", "warn" if one.cpu >= 50 else "plain"),
            (f"{_time(one.cpu_seconds):>6}  ", "muted"),
            (neutral(one_line(one.command), 400), "plain" if one.session else "muted"),
        )
        for one in processes
    ]


def _time(seconds: float) -> str:
    return f"{seconds:.1f}s" if seconds < 100 else age(seconds)


def event_lines(happenings: Sequence[Happening], now: float) -> list[Words]:
    """A line each, the newest first."""
    return [
        (
            (f"{age(now - one.at):>5} ", "muted"),
            (f"{one.kind} ", "bad" if one.kind in BAD_KINDS else "accent"),
            (neutral(one_line(one.message), 400), "plain"),
        )
        for one in reversed(happenings)
    ]


EGRESS_HEAD: Final[Words] = ((f"{'AGO':>5} {'OUT':>6} {'IN':>6}  HOST", "muted"),)


def egress_lines(connections: Sequence[Egress], now: float) -> list[Words]:
    """What it connected to, or tried to, a line each, the newest first; what went wrong comes before the address."""
    lines: list[Words] = []
    for one in reversed(connections):
        host = endpoint(neutral(one.host), one.port)
        times = f" {one.times}×" if one.times > 1 else ""
        secrets = f"  with {neutral(', '.join(one.secrets))}" if one.secrets else ""
        ended = one.ended_at is not None
        open_ = one.allowed and one.address is not None and not ended
        outcome = connection(allowed=one.allowed, address=one.address, ended=ended, reason=one.reason)
        wrong = "" if one.reason is None else f"  {neutral(outcome, 400)}"
        lines.append(
            (
                (f"{age(now - one.at):>5} {size(one.sent):>6} {size(one.received):>6}  ", "muted"),
                (host, "good" if open_ else "plain" if one.allowed else "bad"),
                (times, "muted"),
                (secrets, "accent"),
                (wrong, "warn"),
                (f"  {one.address}" if one.address not in (None, one.host) else "", "muted"),
            )
        )
    return lines


def console_lines(printed: bytes) -> list[Words]:
    """What the kernel and the agent printed, as plain text."""
    return [((plain(line), "plain"),) for line in printed.rstrip(b"\n").split(b"\n")] if printed else []


def exit_lines(sandbox: SandboxView, now: float) -> list[Words]:
    """How its sessions ended, the newest first."""
    ended = [session for session in sandbox.sessions if session.ended]
    ended.sort(key=lambda session: -(session.info.ended_at or 0.0))
    lines: list[Words] = []
    for session in ended:
        info, record = session.info, session.info.record
        tone = "bad" if session.needs_someone else "warn" if session.failed else "muted"
        took = age(info.ended_at - info.started_at) if info.ended_at and info.started_at else ""
        peak = size(record.memory_peak) if record is not None and record.memory_peak else ""
        ago = age(now - info.ended_at) if info.ended_at else ""
        lines.append(
            (
                (f"{ago:>5} ", "muted"),
                (f"{'✖' if session.failed else '○'} {fit(session.badge, 12)} ", tone),
                (f"{took:>5} {peak:>6}  ", "muted"),
                (session.command, "plain"),
            )
        )
    return lines


EXIT_HEAD: Final[Words] = ((f"{'AGO':>5}   {'ENDED':<12} {'TOOK':>5} {'PEAK':>6}  COMMAND", "muted"),)


def fact_lines(sandbox: SandboxView, now: float, width: int) -> list[Words]:
    """What it was made of. A long value goes on below itself."""
    facts = sandbox_facts(sandbox, now)
    names = max(len(name) for name, _ in facts) + 2
    lines: list[Words] = []
    for name, value in facts:
        parts = wrap(neutral(value, 4000), max(20, width - names)) or [""]
        lines.append(((f"{neutral(name):<{names}}", "muted"), (parts[0], "plain")))
        lines += [((" " * names, "muted"), (part, "plain")) for part in parts[1:]]
    return lines
