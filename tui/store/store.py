"""Makes views of the core's answers; what one answer does not tell (rates, silence) comes from comparing two."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .attention import need_of
from .events import LastEvents
from .model import FleetView, SandboxView, SessionView
from .usage import Usages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.core.client.sdk import SandboxInfo, SessionInfo


@dataclass(slots=True)
class _Heard:
    """What a session had written by ``looked_at``, and how fast it writes."""

    written: int
    looked_at: float
    rate: float = 0.0


class Store:
    """Holds the newest `FleetView`, in ``view``."""

    def __init__(self) -> None:
        self.view = FleetView()
        self.pending: dict[str, str] = {}
        """The changes that are under way, by the sandbox's uuid; see `again`."""
        self.usages = Usages()
        """What they use: `sandtop.tui.stream.measuring` fills it."""
        self.events = LastEvents()
        """What happened to them: `sandtop.tui.stream.happening` fills it."""
        self._heard: dict[str, _Heard] = {}

    def take(
        self, sandboxes: Sequence[SandboxInfo], sessions: Sequence[SessionInfo], now: float
    ) -> FleetView:
        """A look at the core succeeded."""
        here = {session.id for session in sessions}
        self._heard = {key: heard for key, heard in self._heard.items() if key in here}
        by_name: dict[str, list[SessionView]] = {}
        for session in sessions:
            by_name.setdefault(session.sandbox, []).append(self._listen(session, now))
        views = [self._sandbox(info, by_name.get(info.name, [])) for info in sandboxes]
        self.view = FleetView(tuple(views), now, self.view.version + 1, host=self.usages.host)
        self.events.keep({info.uuid for info in sandboxes})
        return self.view

    def failed(self, why: str) -> FleetView:
        """The core has not answered: the view stays, and says ``why``."""
        self.view = replace(self.view, trouble=why)
        return self.view

    def again(self) -> FleetView:
        """A new view of the core's last answer, after ``pending`` has changed."""
        views = [replace(view, pending=self.pending.get(view.uuid, "")) for view in self.view.sandboxes]
        self.view = replace(self.view, sandboxes=tuple(views), version=self.view.version + 1)
        return self.view

    def _listen(self, info: SessionInfo, now: float) -> SessionView:
        written = info.stdout_bytes + info.stderr_bytes
        heard = self._heard.get(info.id)
        if heard is None:
            heard = self._heard[info.id] = _Heard(written, now)
        elif now > heard.looked_at:
            grown = written - heard.written
            heard.rate = 0.5 * heard.rate + 0.5 * grown / (now - heard.looked_at) if grown else 0.0
            heard.written, heard.looked_at = written, now
        return SessionView(info, info.output_at or (info.ended_at if written else None), heard.rate)

    def _sandbox(self, info: SandboxInfo, sessions: list[SessionView]) -> SandboxView:
        usage, pending = self.usages.of(info.uuid), self.pending.get(info.uuid, "")
        return SandboxView(info, tuple(sessions), usage, need_of(info), pending, self.events.of(info.uuid))

    def measured(self) -> FleetView:
        """A new view of the core's last answer, after `usages` has changed; before the first answer the same view."""
        if not self.view.version:
            return self.view
        views = [replace(view, usage=self.usages.of(view.uuid)) for view in self.view.sandboxes]
        self.view = replace(
            self.view, sandboxes=tuple(views), version=self.view.version + 1, host=self.usages.host
        )
        return self.view
