"""Alert rules at work: once a second each is tried on each sandbox, and raises attention where it holds.

What that may cost is bounded: a look at the output of all sandboxes stops after `_LOOK_SECONDS`, and what was not
looked at by then, or is more than `_MOST_BYTES` of a session's, is passed over.
"""

from __future__ import annotations

import logging
import os
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.fleet.state import State
from sandtop.core.phrases import command_line
from sandtop.core.sessions.cause import shown_lines
from sandtop.core.store import AlertRow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandtop.core.fleet.sandbox import Sandbox
    from sandtop.core.rules import Pattern, Rule
    from sandtop.core.sessions import Session

log = logging.getLogger(__name__)
EVERY: Final = 1.0
"""Seconds between two looks."""
_LOOK_SECONDS: Final = 0.03
_MOST_BYTES: Final = 64 * 1024
_LINE: Final = 1000
"""Characters of a line that patterns are looked for in."""
_COMMAND_SECONDS: Final = 30.0
_COMMAND_PAUSE: Final = 10.0
"""Seconds between two runs of a rule's command."""
_SHOWN: Final = 200
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True)
class _Read:
    """Of a session's stream: up to where it was looked at, and the beginning of a line that has not ended."""

    offset: int
    begun: bytes = b""


@dataclass(slots=True)
class _Output:
    """What a sandbox's programs wrote since the last look, line by line; and what a pattern was found in."""

    lines: Sequence[tuple[str, str]]
    enough: Callable[[], bool]
    found: tuple[str, str] | None = None

    def matches(self, pattern: Pattern) -> bool:
        for session, line in self.lines:
            if self.enough():
                return False
            if pattern.found_in(line[:_LINE]):
                self.found = (session, line)
                return True
        return False


@dataclass(slots=True)
class _Known:
    """Of a sandbox, what the next look compares with; ``number``: the highest of a session that was looked at."""

    lengths: dict[str, int] = field(default_factory=dict[str, int])
    reads: dict[tuple[str, int], _Read] = field(default_factory=dict[tuple[str, int], _Read])
    number: int = 0
    at: float = 0.0

    @classmethod
    def first(cls, sandbox: Sandbox, now: float) -> _Known:
        """What there is at the first look: none of it is news."""
        reads = {
            (one.row.id, stream): _Read(one.log.end(stream))
            for one in sandbox.sessions.open
            for stream in (1, 2)
        }
        return cls(_lengths(sandbox), reads, sandbox.sessions.next_number() - 1, now)


class AlertWatch:
    """Tries ``rules`` on what ``sandboxes`` gives. ``nursery`` owns their commands."""

    def __init__(
        self, rules: Sequence[Rule], sandboxes: Callable[[], Sequence[Sandbox]], nursery: trio.Nursery
    ) -> None:
        self._rules = rules
        self._sandboxes = sandboxes
        self._nursery = nursery
        self._known: dict[str, _Known] = {}
        self._busy: dict[str, float] = {}
        self._names: set[str] = set().union(*(rule.when.names for rule in rules))

    def begin(self, now: float) -> None:
        """The core starts: what is written from now on is news, also before the machines are adopted.

        Alerts of an earlier core whose rule is not there any more are dropped.
        """
        names = {rule.name for rule in self._rules}
        for sandbox in self._sandboxes():
            for alert in sandbox.alerts.all():
                if alert.name not in names:
                    sandbox.alerts.drop(alert.name)
            if self._rules:
                self._known[sandbox.row.uuid] = _Known.first(sandbox, now)

    async def run(self) -> None:
        """Look once a second, until cancelled. Without rules it does nothing."""
        while self._rules:
            await trio.sleep(EVERY)
            await self.look(time.time())

    async def look(self, now: float) -> None:
        """Try all rules on all sandboxes, less those whose machine is not adopted yet: what they do is not known."""
        begun = time.monotonic()
        everything = self._sandboxes()
        self._known = {
            one.row.uuid: self._known.get(one.row.uuid) or _Known.first(one, now) for one in everything
        }
        for sandbox in everything:
            if sandbox.adopting.is_set():
                self._try(sandbox, self._known[sandbox.row.uuid], now, begun + _LOOK_SECONDS)
            await trio.lowlevel.checkpoint()

    def _try(self, sandbox: Sandbox, known: _Known, now: float, until: float) -> None:
        values = self._values(sandbox, known, now)
        lines = _new_lines(sandbox, known) if "output" in self._names else []
        for rule in self._rules:
            output = _Output(lines, lambda: time.monotonic() > until)
            holds = rule.when.holds(values, output.matches)
            before = sandbox.alerts.get(rule.name)
            if holds and (before is None or (before.seen and rule.when.reads_output)):
                session, text = output.found or (None, "")
                self._raise(sandbox, rule, AlertRow(rule.name, text[:_SHOWN], now, rule.notify, session))
            elif not holds and before is not None and not rule.when.reads_output:
                sandbox.alerts.drop(rule.name)

    def _values(self, sandbox: Sandbox, known: _Known, now: float) -> dict[str, float | str | None]:
        row, config, sessions = sandbox.row, sandbox.row.config, sandbox.sessions
        runs = sandbox.state is State.RUNNING
        lengths = _lengths(sandbox)
        grown = sum(length - known.lengths.get(key, 0) for key, length in lengths.items())
        last, span = sessions.last_ended, now - known.at
        known.lengths, known.at = lengths, now
        values: dict[str, float | str | None] = {
            "state": row.state,
            "name": row.name,
            "image": config.image,
            "sessions": sessions.running,
            "uptime": now - row.started_at if runs and row.started_at is not None else None,
            "silence": now - _heard(sandbox) if runs else None,
            "rate": grown / span if runs and span > 0 else None,
            "memory": _memory_share(sandbox) if runs and "memory" in self._names else None,
            "exit": last.record.exit_status if last is not None and last.record is not None else None,
            "command": command_line(last.row.argv) if last is not None else None,
            "cause": last.record.cause if last is not None and last.record is not None else None,
        }
        return values | {f"label.{name}": text for name, text in config.labels.items()}

    def _raise(self, sandbox: Sandbox, rule: Rule, alert: AlertRow) -> None:
        log.info("%s: alert %s", sandbox.name, rule.name)
        sandbox.alerts.put(alert)
        sandbox.tell(
            "alert", f"{rule.name}: {alert.text}" if alert.text else rule.name, session=alert.session
        )
        now = trio.current_time()
        if rule.command and now >= self._busy.get(rule.name, 0.0):
            self._busy[rule.name] = now + _COMMAND_SECONDS + _COMMAND_PAUSE
            self._nursery.start_soon(self._command, sandbox.name, rule, alert)

    async def _command(self, sandbox: str, rule: Rule, alert: AlertRow) -> None:
        """Run the rule's command, for `_COMMAND_SECONDS` at most; one at a time of each rule."""
        told = {
            "SANDTOP_ALERT": rule.name,
            "SANDTOP_SANDBOX": sandbox,
            "SANDTOP_SESSION": alert.session or "",
            "SANDTOP_TEXT": alert.text,
        }
        try:
            with trio.move_on_after(_COMMAND_SECONDS) as scope:
                await trio.run_process(
                    rule.command,
                    stdin=b"",
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    check=False,
                    env={**os.environ, **told},
                )
            if scope.cancelled_caught:
                log.warning("the command of the alert %s took more than %d s", rule.name, _COMMAND_SECONDS)
        except (OSError, ValueError) as error:
            log.warning("the command of the alert %s cannot be run: %s", rule.name, error)
        finally:
            self._busy[rule.name] = trio.current_time() + _COMMAND_PAUSE


def _lengths(sandbox: Sandbox) -> dict[str, int]:
    """How much each running session has written."""
    return {one.row.id: one.log.end(1) + one.log.end(2) for one in sandbox.sessions.open}


def _heard(sandbox: Sandbox) -> float:
    last = sandbox.sessions.last_ended
    times = [max(one.output.heard_at, one.row.started_at or 0.0) for one in sandbox.sessions.open]
    return max([sandbox.row.started_at or 0.0, (last.row.ended_at or 0.0) if last else 0.0, *times])


def _memory_share(sandbox: Sandbox) -> float | None:
    """Resident bytes of the machine's process (proc(5), statm), as a share of the sandbox's memory."""
    ownership = sandbox.row.ownership
    if ownership is None:
        return None
    try:
        with open(f"/proc/{ownership.pid}/statm", "rb", buffering=0) as file:
            resident = int(file.read(200).split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return None
    return resident / (sandbox.row.config.memory << 20)


def _new_lines(sandbox: Sandbox, known: _Known) -> list[tuple[str, str]]:
    """The whole lines that came since the last look, each with its session; of very much the end."""
    found: list[tuple[str, str]] = []
    for session in reversed(sandbox.sessions.all()):
        if session.row.number <= known.number:
            break
        known.reads |= {(session.row.id, stream): _Read(0) for stream in (1, 2)}
    known.number = sandbox.sessions.next_number() - 1
    for (key, stream), read in list(known.reads.items()):
        reading = sandbox.sessions.find(key)
        if reading is not None:
            found += [(key, line) for line in _lines_of(reading, stream, read)]
        if reading is None or reading.ended:
            del known.reads[key, stream]
    return found


def _lines_of(session: Session, stream: int, read: _Read) -> list[str]:
    end = session.log.end(stream)
    if end - read.offset > _MOST_BYTES:
        read.offset, read.begun = end - _MOST_BYTES, b""
    data = bytearray()
    while read.offset < end:
        try:
            piece = session.log.read(stream, read.offset, end - read.offset)
        except OSError:
            piece = b""
        if not piece:
            read.offset = end
            break
        read.offset += len(piece)
        data += piece
    whole, newline, rest = (read.begun + data).rpartition(b"\n")
    if session.ended:
        whole, rest = read.begun + data, b""
    elif not newline:
        whole = b""
    read.begun = bytes(rest[-_LINE:])
    return shown_lines(bytes(whole).decode(errors="replace")) if whole else []
