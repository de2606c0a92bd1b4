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
from sandtop.tui.widgets.merged_pane import MergedPane
from sandtop.tui.widgets.pane import Pane
from sandtop.tui.widgets.terminal import TerminalView
from sandtop.tui.widgets.terminal_copy import TerminalCopy
from sandtop.tui.widgets.terminal_pane import TerminalPane
from sandtop.tui.widgets.tiling import Tiling

from . import pane_memory
from .base import ConsoleScreen
from .pane_layout import PaneLayout
from .pane_streams import Streams
from .saving import ask_save

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.binding import BindingType
    from textual.dom import DOMNode
    from textual.events import Paste
    from textual.widget import Widget

    from sandtop.core.client.sdk import SandboxInfo, SessionInfo
    from sandtop.tui.store import FleetView


class PanesScreen(ConsoleScreen):
    """Opens and closes panes. `PaneLayout` knows where each is, and `Streams` gives each its session's output."""

    CSS_PATH = "panes.tcss"
    AUTO_FOCUS: ClassVar[str | None] = ""
    SCOPE: ClassVar[ScopeName] = "panes"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("panes")]

    def __init__(self) -> None:
        super().__init__()
        self._panes: dict[str, Pane] = {}
        self._layout = PaneLayout()
        self._opened = 0
        self._evidence: Pane | None = None
        self._streams = Streams(self)

    def body(self) -> Iterable[Widget]:
        yield Tiling()

    def on_mount(self) -> None:
        super().on_mount()
        for pane in self._panes.values():
            self._begin(pane)

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        if not self.ready:
            return
        for pane in self._panes.values():
            if isinstance(pane, TerminalPane) and pane.ready:
                pane.terminal.redraw()
            elif isinstance(pane, LogPane) and pane.ready:
                pane.view.took()
        self._focus_current()

    @property
    def takes_keys(self) -> bool:
        pane = self.current
        return self.ready and (pane is None or (pane.ready and pane.has_focus_within))

    @property
    def is_empty(self) -> bool:
        """Whether there are no panes."""
        return not self._panes

    @property
    def count(self) -> int:
        """How many panes there are."""
        return len(self._panes)

    @property
    def current(self) -> Pane | None:
        """The pane that has the focus, or had it last."""
        return self._panes.get(self._layout.current or "")

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

    # remembering

    def arrangement(self) -> tuple[tiles.Tree | None, str | None]:
        """See `pane_memory.arrangement`."""
        return pane_memory.arrangement(self._panes, self._layout)

    def open_again(self, tree: tiles.Tree, zoomed: str | None, view: FleetView) -> None:
        """See `pane_memory.reopened`; the panes come in place of those that there are."""
        self._panes, self._layout = pane_memory.reopened(
            tree, zoomed, view, self._key, self.console_app.clock
        )

    # opening and closing

    def open_log(
        self, uuid: str, sandbox: str, info: SessionInfo, *, behind: bool = False, evidence: bool = False
    ) -> None:
        """Show a session's log in a pane, an open one if there is one; ``behind``: in a new one without the focus.

        As ``evidence`` it shows what was written last to stderr from its first line, and goes when the next one comes.
        """
        if behind or not self._go_to_session(info.id):
            pane = LogPane(self._key(), uuid, sandbox, info, self.console_app.clock)
            self._add(pane, behind=behind)
            if evidence:
                self._is_evidence(pane)
        if evidence and isinstance(shown := self._pane_of(info.id), LogPane):
            shown.show_evidence()

    def open_merged(self, names: dict[str, str]) -> None:
        """Show the logs of several sandboxes, uuid to name, merged in one pane."""
        self._add(MergedPane(self._key(), names, self.console_app.clock))

    def _is_evidence(self, pane: Pane) -> None:
        """``pane`` was opened to show what needs somebody: the one that was before goes."""
        before, self._evidence = self._evidence, pane
        if before is not None and before in self._panes.values():
            self.close(before)

    def open_terminal(
        self, uuid: str, sandbox: str, info: SessionInfo, *, with_input: bool, evidence: bool = False
    ) -> None:
        """Show a session's terminal in a pane, an open one if there is one; ``with_input`` it takes the keyboard.

        As ``evidence`` the pane goes when the next one comes.
        """
        pane = self._pane_of(info.id)
        if isinstance(pane, TerminalPane):
            self._go_to_session(info.id)
            if not self.ready:  # it was remembered, and nobody has looked at it yet
                pane.typing = with_input
            elif with_input and not pane.typing:
                self._streams.attach_again(pane, typing=True)
            elif with_input and pane.ready and pane.terminal.reads_keys:
                pane.terminal.action_step_in()
            return
        fresh = TerminalPane(self._key(), uuid, sandbox, info, typing=with_input, stepped_out=evidence)
        self._add(fresh)
        if evidence:
            self._is_evidence(fresh)

    def open_shell(self, info: SandboxInfo) -> None:
        """Open a pane and start a shell in it, as soon as the pane knows its size: the first prompt is right then."""
        self._add(TerminalPane(self._key(), info.uuid, info.name, None, typing=True), shell=info)

    def _key(self) -> str:
        self._opened += 1
        return f"pane-{self._opened}"

    def _pane_of(self, session: str) -> Pane | None:
        return next((p for p in self._panes.values() if p.info is not None and p.info.id == session), None)

    def _go_to_session(self, session: str) -> bool:
        pane = self._pane_of(session)
        if pane is None:
            return False
        self._move_to(pane.id or "")
        return True

    def _add(
        self,
        pane: Pane,
        *,
        stacked: bool | None = None,
        shell: SandboxInfo | None = None,
        behind: bool = False,
    ) -> None:
        assert pane.id is not None
        if stacked is None:
            stacked = self._stack_next()
        self._layout.insert(pane.id, stacked=stacked, behind=behind)
        self._panes[pane.id] = pane
        if shell is not None:
            self._streams.begin_with(pane, shell)
        if self.ready:
            self._begin(pane)

    def _stack_next(self) -> bool:
        """Whether the next pane goes below the current one. The longer side is split; a cell is 1 by 2."""
        if not self.ready or self._layout.current is None:
            return False
        box = self.query_one(Tiling).places.get(self._layout.current)
        return box is not None and box.width < box.height * 3.2

    def _begin(self, pane: Pane) -> None:
        self._lay_out()
        self.query_one(Tiling).mount(pane)
        self._streams.run(pane)

    @on(Pane.Ready)
    def _pane_ready(self, event: Pane.Ready) -> None:
        if event.pane is self.current:
            self._focus_current()

    def _lay_out(self) -> None:
        for pane in self._panes.values():
            pane.set_class(len(self._panes) == 1, "-alone")
        self.query_one(Tiling).lay_out(self._layout.tree, self._layout.zoomed)

    def _focus_current(self) -> None:
        pane = self.current
        if pane is not None and pane.ready and not pane.has_focus_within:
            pane.take_focus()  # not while its line for patterns has the focus
        self.show_keys()

    def on_descendant_focus(self) -> None:
        wanted = self.current
        if wanted is None or wanted.ready:  # one that is not ready gets the focus when it is
            for key, pane in self._panes.items():
                if pane.has_focus_within:
                    self._layout.current = key
        self.show_keys()

    def close(self, pane: Pane) -> None:
        """Close ``pane``; its session goes on."""
        assert pane.id is not None
        self._layout.remove(pane.id)
        del self._panes[pane.id]
        self._streams.forget(pane)
        pane.remove()
        self._lay_out()
        self._focus_current()
        if self.is_empty:
            self.action_back()

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

    def _move_to(self, key: str | None) -> None:
        """Give the keyboard to pane ``key``, if there is one."""
        if key is None:
            return
        self._layout.go_to(key)
        if not self.ready:
            return
        if self._layout.zoomed is not None:
            self._lay_out()
        self._focus_current()

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

    def action_back(self) -> None:
        if app_of(self).screen is self:
            app_of(self).pop_screen()


def _pane_id(view: TerminalCopy) -> str:
    return next((pane.id or "" for pane in view.ancestors if isinstance(pane, TerminalPane)), "")
