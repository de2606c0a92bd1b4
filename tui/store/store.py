"""Makes views of the core's answers; what one answer does not tell (rates, silence) comes from comparing two."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sandtop.core.client.link.records import SandboxInfo, SessionInfo

from .attention import need_of
from .model import FleetView, SandboxView, SessionView
from .usage import ProcessUsage, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence


Raw = dict[str, object]
"""A sandbox or session as the core's JSON has it."""


@dataclass(slots=True)
class _Heard:
    """What a session had written by ``looked_at``, and when that last grew."""

    written: int
    looked_at: float
    last_output: float | None
    rate: float = 0.0


class Store:
    """Holds the newest `FleetView`, in ``view``."""

    def __init__(self, usage: ProcessUsage) -> None:
        self.view = FleetView()
        self.pending: dict[str, str] = {}
        """The changes that are under way, by the sandbox's uuid; see `again`."""
        self._usage = usage
        self._heard: dict[str, _Heard] = {}
        self._sandboxes: dict[str, tuple[Raw, SandboxInfo]] = {}
        self._sessions: dict[str, tuple[Raw, SessionInfo]] = {}

    def take(self, sandboxes: Sequence[Raw], sessions: Sequence[Raw], now: float) -> FleetView:
        """The core has answered at ``now``. Raises `CoreFailure` when the answer lacks a field."""
        infos = self._read_sandboxes(sandboxes)
        by_name: dict[str, list[SessionView]] = {}
        for info in self._read_sessions(sessions):
            by_name.setdefault(info.sandbox, []).append(self._listen(info, now))
        usage = self._usage.sample({info.pid for info in infos if info.pid is not None}, now)
        views = [self._sandbox(info, by_name.get(info.name, []), usage) for info in infos]
        self.view = FleetView(tuple(views), now, self.view.version + 1)
        return self.view

    def failed(self, why: str) -> FleetView:
        """The core has not answered: the view stays, and says ``why``."""
        self.view = replace(self.view, trouble=why)
        return self.view

    def again(self) -> FleetView:
        """The same answer as a new view, after ``pending`` has changed."""
        views = [replace(view, pending=self.pending.get(view.uuid, "")) for view in self.view.sandboxes]
        self.view = replace(self.view, sandboxes=tuple(views), version=self.view.version + 1)
        return self.view

    def _read_sandboxes(self, raws: Sequence[Raw]) -> list[SandboxInfo]:
        """The records in ``raws``. One that did not change is the same object again: comparing is cheap."""
        known = self._sandboxes
        self._sandboxes = {}
        for raw in raws:
            key = str(raw.get("uuid"))
            before = known.get(key)
            self._sandboxes[key] = before if before and before[0] == raw else (raw, SandboxInfo.read(raw))
        return [info for _, info in self._sandboxes.values()]

    def _read_sessions(self, raws: Sequence[Raw]) -> list[SessionInfo]:
        known = self._sessions
        self._sessions = {}
        for raw in raws:
            key = str(raw.get("id"))
            before = known.get(key)
            self._sessions[key] = before if before and before[0] == raw else (raw, SessionInfo.read(raw))
        self._heard = {key: heard for key, heard in self._heard.items() if key in self._sessions}
        return [info for _, info in self._sessions.values()]

    def _listen(self, info: SessionInfo, now: float) -> SessionView:
        written = info.stdout_bytes + info.stderr_bytes
        heard = self._heard.get(info.id)
        if heard is None:
            heard = self._heard[info.id] = _Heard(written, now, info.ended_at if written else None)
        elif now > heard.looked_at:
            grown = written - heard.written
            heard.rate = 0.5 * heard.rate + 0.5 * grown / (now - heard.looked_at) if grown else 0.0
            if grown:
                heard.last_output = now
            heard.written, heard.looked_at = written, now
        return SessionView(info, heard.last_output, heard.rate)

    def _sandbox(
        self, info: SandboxInfo, sessions: list[SessionView], usage: dict[int, Usage]
    ) -> SandboxView:
        used = usage.get(info.pid, Usage()) if info.pid is not None else Usage()
        view = SandboxView(info, tuple(sessions), used.cpu, used.memory, need_of(info))
        return replace(view, pending=self.pending.get(info.uuid, ""))
