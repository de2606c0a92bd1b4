"""Turns the core's answers into views: what changed since the last look, and who needs somebody."""

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


@dataclass(slots=True)
class _Heard:
    """How much a session had written at the last look, and when that last grew."""

    written: int
    looked_at: float
    last_output: float | None
    rate: float = 0.0


class Store:
    """Holds the latest `FleetView`."""

    def __init__(self, usage: ProcessUsage) -> None:
        self.view = FleetView()
        self.pending: dict[str, str] = {}
        """What was asked of a sandbox, by uuid, until it comes back."""
        self._usage = usage
        self._heard: dict[str, _Heard] = {}
        self._sandboxes: dict[str, tuple[Raw, SandboxInfo]] = {}
        self._sessions: dict[str, tuple[Raw, SessionInfo]] = {}

    def take(self, sandboxes: Sequence[Raw], sessions: Sequence[Raw], now: float) -> FleetView:
        """A look at the core succeeded. Raises `CoreFailure` when an answer lacks a field."""
        infos = self._read_sandboxes(sandboxes)
        by_name: dict[str, list[SessionView]] = {}
        for info in self._read_sessions(sessions):
            by_name.setdefault(info.sandbox, []).append(self._listen(info, now))
        usage = self._usage.sample({info.pid for info in infos if info.pid is not None}, now)
        views = [self._sandbox(info, by_name.get(info.name, []), usage) for info in infos]
        self.view = FleetView(tuple(views), now, self.view.version + 1)
        return self.view

    def failed(self, why: str) -> FleetView:
        """A look at the core failed: what is shown stays, and says so."""
        self.view = replace(self.view, trouble=why)
        return self.view

    def again(self) -> FleetView:
        """The same data, looked at anew after what was asked of a sandbox changed."""
        views = [replace(view, pending=self.pending.get(view.uuid, "")) for view in self.view.sandboxes]
        self.view = replace(self.view, sandboxes=tuple(views), version=self.view.version + 1)
        return self.view

    def _read_sandboxes(self, raws: Sequence[Raw]) -> list[SandboxInfo]:
        """Typed values; one that did not change is the object it was, which costs a comparison."""
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
