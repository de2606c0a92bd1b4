"""The screen with the panes: logs and terminals side by side. They take in output while another screen is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.events import Key

from sandtop.tui import tiles
from sandtop.tui.actions import Action, ScopeName, bindings_of, scopes_at
from sandtop.tui.widgets.app_of import app_of
from sandtop.tui.widgets.bars import KeyBar
from sandtop.tui.widgets.log_pane import LogPane
from sandtop.tui.widgets.terminal import TerminalView
from sandtop.tui.widgets.terminal_copy import TerminalCopy
from sandtop.tui.widgets.terminal_pane import TerminalPane
from sandtop.tui.widgets.tiling import Tiling

from .pane_set import PaneSet
from .saving import ask_save

if TYPE_CHECKING:
    from textual.binding import BindingType
    from textual.dom import DOMNode
    from textual.events import Paste

    from sandtop.tui.store import FleetView


class PanesScreen(PaneSet):
    """The panes, what they say, and what is done with them."""

    CSS_PATH = "panes.tcss"
    AUTO_FOCUS: ClassVar[str | None] = ""
    SCOPE: ClassVar[ScopeName] = "panes"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("panes")]

    def scopes(self) -> tuple[ScopeName, ...]:
        pane = self.current
        if isinstance(pane, TerminalPane) and pane.ready and pane.terminal.live:
            return ("live",) if pane.terminal.reads_keys else ("nobody",)
        return scopes_at(pane.SCOPE if pane is not None else self.SCOPE)

    def owner_of(self, scope: ScopeName) -> DOMNode:
        pane = self.current
        if scope == "log" and pane is not None:
            return pane
        if scope in ("live", "nobody", "terminal") and isinstance(pane, TerminalPane):
            return pane.terminal
        return super().owner_of(scope)

    def actions(self) -> list[Action]:
        pane = self.current
        idle = pane.idle_actions if isinstance(pane, TerminalPane) and pane.ready else frozenset[str]()
        named = ("terminal", "nobody")
        return [one for one in super().actions() if one.scope not in named or one.name not in idle]

    def show_keys(self) -> None:
        nobody = self.scopes() == ("nobody",)
        self.query_one(KeyBar).show(self.actions(), " keys are for nobody: " if nobody else "")

    def catches(self, event: Key | Paste) -> bool:
        pane = self.current
        if not isinstance(pane, TerminalPane) or (pane.ready and pane.has_focus_within):
            return False
        if not pane.ready:
            app_of(self).bell()
        elif not pane.terminal.live:
            return False
        elif isinstance(event, Key):
            pane.terminal.press(event)
        else:
            pane.terminal.on_paste(event)
        return True

    def place(self) -> tuple[str, ...]:
        zoomed = " (zoomed)" if self._layout.zoomed else ""
        return (f"panes{zoomed}",)

    def show(self, view: FleetView) -> None:
        for pane in self._panes.values():
            found = view.session(pane.info.id) if pane.info is not None else None
            pane.show_session(found[1] if found else pane.session)
        self.show_keys()

    def settle_detached(self, view: FleetView) -> None:
        """See `Streams.settle_detached`."""
        self._streams.settle_detached(view, {pane.info.id for pane in self._panes.values() if pane.info})

    # what panes say

    @on(TerminalView.Typed)
    def _typed(self, event: TerminalView.Typed) -> None:
        if not self._streams.type(_pane_id(event.view), event.data):
            app_of(self).bell()

    @on(TerminalView.Resized)
    def _resized(self, event: TerminalView.Resized) -> None:
        pane = self._panes.get(_pane_id(event.view))
        if isinstance(pane, TerminalPane):
            pane.size_in_cells = (event.rows, event.columns)
            pane.sized.set()
            self._streams.resize(pane)

    @on(TerminalView.Changed)
    def _terminal_changed(self) -> None:
        self.show_keys()

    @on(TerminalCopy.Asked)
    def _terminal_asked(self, event: TerminalCopy.Asked) -> None:
        pane = self._panes.get(_pane_id(event.view))
        if not isinstance(pane, TerminalPane):
            return
        if event.what == "detach":
            self.close(pane)
            self._streams.tell_detached(pane)
        elif event.what == "read":
            self._streams.have_seen(pane)
        else:
            self._streams.attach_again(pane, typing=event.what == "take", taking=event.what == "take")

    @on(TerminalView.Unread)
    def _refuse(self, event: TerminalView.Unread) -> None:
        pane = self._panes.get(_pane_id(event.view))
        if isinstance(pane, TerminalPane):
            self._streams.tell(pane, pane.why_unread)

    @on(TerminalCopy.Said)
    @on(LogPane.Said)
    def _said(self, event: TerminalCopy.Said | LogPane.Said) -> None:
        self.console_app.say(event.text)

    @on(LogPane.Asked)
    def _log_asked(self, event: LogPane.Asked) -> None:
        pane = event.pane
        if event.what == "older":
            pane.start_over(whole=True)
            self._streams.run(pane)
        elif event.what == "save":
            ask_save(self.console_app, pane)

    # what is done with panes

    def action_next(self) -> None:
        self._move_to(self._layout.step(1))

    def action_previous(self) -> None:
        self._move_to(self._layout.step(-1))

    def action_go(self, way: tiles.Direction) -> None:
        places, current = self.query_one(Tiling).places, self._layout.current
        if current in places:
            self._move_to(tiles.neighbour(places, current, way))

    def action_split(self, way: str) -> None:
        pane = self.current
        if isinstance(pane, LogPane) and pane.info is not None:
            twin = LogPane(self._key(), pane.uuid, pane.sandbox, pane.info, self.console_app.clock)
            self._add(twin, stacked=way == "down")
        elif isinstance(pane, TerminalPane):
            sandbox = self.view.find(pane.uuid)
            if sandbox is not None:
                fresh = TerminalPane(self._key(), pane.uuid, pane.sandbox, None, typing=True)
                self._add(fresh, stacked=way == "down", shell=sandbox.info)

    def action_zoom(self) -> None:
        self._layout.toggle_zoom()
        self._lay_out()
        self.tick()
        self._focus_current()

    def action_resize(self, steps: int) -> None:
        self._layout.resize(steps)
        self._lay_out()

    def action_even(self) -> None:
        self._layout.even()
        self._lay_out()

    def action_close(self) -> None:
        if (pane := self.current) is not None:
            self.close(pane)

    def action_close_all(self) -> None:
        for pane in list(self._panes.values()):
            self.close(pane)

    def action_acknowledge(self) -> None:
        """Acknowledge how the session of this pane ended, or that it waits; on to the next that needs somebody."""
        pane = self.current
        found = self.view.session(pane.info.id) if pane is not None and pane.info is not None else None
        if found is None or not found[1].needs_someone:
            self.console_app.say("nothing to acknowledge here: e goes to the next that needs somebody")
            return
        self.console_app.operations.acknowledge([found[0]], [found[1]])
        self.console_app.nav.show_evidence(1, done=found[1].id)

    def action_cancel(self) -> None:
        pane = self.current
        if pane is not None and pane.ready and (pane.stop_asking() or pane.stop_searching()):
            return
        if not self.cancelled():
            self.action_back()


def _pane_id(view: TerminalCopy) -> str:
    return next((pane.id or "" for pane in view.ancestors if isinstance(pane, TerminalPane)), "")
