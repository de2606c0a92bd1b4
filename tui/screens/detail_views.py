"""What the detail beside a list says of a sandbox and of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandtop.tui.text import age, bar, neutral, one_line, rate, size, sparkline
from sandtop.tui.watching import Target
from sandtop.tui.widgets.detail import DetailView

if TYPE_CHECKING:
    from sandtop.tui.store import SandboxView, SessionView
    from sandtop.tui.stream.glance import Glance
    from sandtop.tui.widgets.worded import Words

HAPPENED: Final = 12
"""Events that are listed."""
GLYPHS: Final = {
    "creating": ("◌", "accent"),
    "starting": ("◌", "accent"),
    "running": ("●", "good"),
    "paused": ("‖", "accent"),
    "stopping": ("◌", "accent"),
    "stopped": ("○", "muted"),
    "failed": ("✖", "bad"),
    "lost": ("?", "bad"),
}
"""The sign and the tone of each state of a sandbox."""
BAD_KINDS: Final = ("failed", "lost", "died", "trouble", "oom", "refused", "unreachable")
"""Events that are shown as something bad."""
MEMORY_WARNS: Final = 85.0
MEMORY_ALARMS: Final = 95.0
"""Percent of a sandbox's memory from which on it is shown in another colour."""


QUIET: Final = 3.0
"""Percent of a core: what uses less has no sparkline."""


def activity(sandbox: SandboxView, width: int) -> str:
    """The sparkline of its processors; empty when nothing happens."""
    line = sandbox.usage.line
    return sparkline(line, 100.0 * sandbox.info.cpus, width) if max(line, default=0.0) >= QUIET else ""


def memory_tone(percent: float) -> str:
    """The tone of a share of memory."""
    return "bad" if percent >= MEMORY_ALARMS else "warn" if percent >= MEMORY_WARNS else "plain"


def newest_session(sandbox: SandboxView) -> SessionView | None:
    """The session that tells what ``sandbox`` does: the newest that runs, else the newest."""
    running = [session for session in sandbox.sessions if not session.ended]
    return next(reversed(running or sandbox.sessions), None)


def shown_session(sandbox: SandboxView) -> SessionView | None:
    """The session that the detail of ``sandbox`` shows, the first of the list of its sessions."""
    return min(sandbox.sessions, key=session_order, default=None)


def session_order(session: SessionView) -> tuple[bool, bool, float]:
    """Sorted by it: those that need somebody, then those that run, then the ended ones; the newest first of each."""
    return (not session.needs_someone, session.ended, -(session.info.started_at or 0.0))


def target_of(sandbox: SandboxView | None) -> Target | None:
    """Where to look for what ``sandbox`` shows."""
    session = shown_session(sandbox) if sandbox is not None else None
    return Target(sandbox.uuid, session.info) if sandbox is not None and session is not None else None


def sandbox_detail(sandbox: SandboxView, glance: Glance | None, trouble: str, now: float) -> DetailView:
    """What is said of ``sandbox``; ``glance`` is of `shown_session`, ``trouble`` is why there is none."""
    info, session = sandbox.info, shown_session(sandbox)
    glyph, tone = GLYPHS.get(info.state, ("?", "muted"))
    up = f" {age(now - info.started_at)}" if info.started_at else ""
    title: Words = ((neutral(info.name), "strong"), (f"  {glyph} {info.state}{up}", tone))
    facts: list[Words] = []
    if sandbox.need.wants_someone:
        facts.append(((f"▲ {sandbox.need.text}", "bad"),))
    elif info.reason:
        facts.append(((neutral(info.reason), "muted"),))
    facts += _usage(sandbox)
    facts.append(((_shape(sandbox), "muted"),))
    nothing = trouble or "asking the core …"
    if session is None:
        nothing = "nothing has run in it yet: x runs a command, a opens a shell"
    elif glance is not None:
        nothing = _wrote_nothing(session)
    return DetailView(
        key=info.uuid,
        title=title,
        facts=tuple(facts),
        session=_session_words(session, glance, now) if session is not None else (),
        glance=glance,
        nothing=nothing,
        happened=_happened(sandbox, now),
    )


def session_detail(session: SessionView, glance: Glance | None, trouble: str, now: float) -> DetailView:
    """What is said of ``session``."""
    info = session.info
    tone = "good" if not session.ended else "bad" if session.needs_someone else "muted"
    title: Words = ((session.command, "strong"),)
    end = info.ended_at if info.ended_at is not None else now
    took = (
        f"   {'took' if session.ended else 'runs for'} {age(end - info.started_at)}"
        if info.started_at
        else ""
    )
    facts: list[Words] = [
        ((session.badge, tone), (took, "muted")),
        ((_written(session), "muted"),),
    ]
    if info.foreground and not session.ended:
        facts.append((("in front: ", "muted"), (neutral(info.foreground), "plain")))
    if info.input_holder:
        facts.append((("keyboard: ", "muted"), (neutral(info.input_holder), "warn")))
    if record := info.record:
        peak = f", {size(record.memory_peak)} of memory at most" if record.memory_peak else ""
        cpu = f"{record.cpu_us / 1e6:.1f} s of cpu" if record.cpu_us is not None else ""
        if cpu or peak:
            facts.append(((f"{cpu}{peak}".lstrip(", "), "muted"),))
    return DetailView(
        key=info.id,
        title=title,
        facts=tuple(facts),
        session=_session_words(session, glance, now),
        glance=glance,
        nothing=_wrote_nothing(session) if glance is not None else trouble or "asking the core …",
    )


def _usage(sandbox: SandboxView) -> list[Words]:
    if sandbox.info.state not in ("running", "paused", "starting", "stopping"):
        return []
    lines: list[Words] = []
    if (cpu := sandbox.cpu) is not None:
        used = f"cpu {cpu:3.0f}% of {sandbox.info.cpus * 100}%  "
        lines.append(((used, "plain"), (activity(sandbox, 20), "accent")))
    if (percent := sandbox.memory_percent) is not None:
        used = f"mem {percent:3.0f}% of {size(sandbox.info.memory * 1048576)}  "
        tone = memory_tone(percent).replace("plain", "accent")
        lines.append(((used, "plain"), (bar(percent / 100, 20), tone)))
    return lines


def _shape(sandbox: SandboxView) -> str:
    info = sandbox.info
    labels = "".join(f"  {key}={text}" for key, text in sorted(info.labels.items()))
    return neutral(f"{info.image}, {info.cpus} cpu, {info.memory} MiB, network {info.network}{labels}")


def _session_words(session: SessionView, glance: Glance | None, now: float) -> Words:
    info = session.info
    glyph, tone = ("●", "good") if not session.ended else ("○", "muted")
    if session.failed:
        glyph, tone = "✖", "bad" if session.needs_someone else "muted"
    words: list[tuple[str, str]] = [(f"{glyph} ", tone)]
    if session.ended:
        words.append((f"{session.badge} ", tone))
    words.append((session.doing, "plain"))
    if glance is not None and glance.title:
        words.append((f"  {neutral(glance.title, 60)}", "accent"))
    if (heard := session.last_output) is not None:
        words.append((f"  {age(now - heard)} ago", "muted"))
    if session.rate:
        words.append((f"  {rate(session.rate)}", "accent"))
    if info.input_holder:
        words.append((f"  keyboard {neutral(info.input_holder, 30)}", "warn"))
    return tuple(words)


def _written(session: SessionView) -> str:
    info = session.info
    parts = [f"{size(info.stdout_bytes + info.stderr_bytes)} written"]
    if info.stderr_bytes:
        parts.append(f"{size(info.stderr_bytes)} of it to stderr")
    if info.left:
        parts.append(f"{info.left} processes left running")
    return ", ".join(parts)


def _wrote_nothing(session: SessionView) -> str:
    return "it wrote nothing" if session.ended else "no output yet"


def _happened(sandbox: SandboxView, now: float) -> tuple[Words, ...]:
    """What happened to it, when its sessions began and how they ended; the newest first."""
    found: list[tuple[float, Words]] = []
    for session in sandbox.sessions:
        info = session.info
        if info.started_at:
            found.append((info.started_at, (("  began ", "muted"), (session.command, "plain"))))
        if info.ended_at:
            tone = "bad" if session.needs_someone else "muted"
            glyph = "✖" if session.failed else "○"
            found.append((info.ended_at, ((f"{glyph} {session.badge} ", tone), (session.command, "plain"))))
    for one in sandbox.events:
        tone = "bad" if one.kind in BAD_KINDS else "accent"
        found.append((one.at, ((f"▪ {one.kind} ", tone), (neutral(one_line(one.message)), "plain"))))
    if sandbox.info.started_at and not any(one.kind == "started" for one in sandbox.events):
        found.append((sandbox.info.started_at, (("  the machine started", "muted"),)))
    found.sort(key=lambda entry: entry[0], reverse=True)
    return tuple(((f"{age(now - at):>5} ", "muted"), *words) for at, words in found[:HAPPENED])
