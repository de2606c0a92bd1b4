"""The panes: logs and terminals side by side. They go on while another screen shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.events import Key

from sandtop.tui import tiles
from sandtop.tui.actions import Action, Context, bindings_of
from sandtop.tui.stream.save import save
from sandtop.tui.text import size
from sandtop.tui.widgets.app_of import app_of
from sandtop.tui.widgets.bars import KeyBar
from sandtop.tui.widgets.log_pane import LogPane
from sandtop.tui.widgets.pane import Pane
from sandtop.tui.widgets.terminal import TerminalView
from sandtop.tui.widgets.terminal_copy import TerminalCopy
from sandtop.tui.widgets.terminal_pane import TerminalPane
from sandtop.tui.widgets.tiling import Tiling

from .base import ConsoleScreen
from .dialogs import Prompt
from .pane_streams import Streams

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.binding import BindingType
    from textual.events import Paste
    from textual.widget import Widget

    from sandtop.core.client.link.records import SandboxInfo, SessionInfo
    from sandtop.tui.store import FleetView


class PanesScreen(ConsoleScreen):
    """Owns the panes; `Streams` pours their sessions into them."""

    CSS_PATH = "panes.tcss"
    AUTO_FOCUS: ClassVar[str | None] = ""
    CONTEXT: ClassVar[Context] = "panes"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("panes")]

    def __init__(self) -> None:
        super().__init__()
        self._panes: dict[str, Pane] = {}
        self._tree: tiles.Tree | None = None
        self._zoomed: str | None = None
        self._current: str | None = None
        self._count = 0
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
        return not self._panes

    @property
    def count(self) -> int:
        """How many panes there are."""
        return len(self._panes)

    @property
    def current(self) -> Pane | None:
        """The pane that has the keyboard, or had it last."""
        return self._panes.get(self._current or "")

    def contexts(self) -> tuple[Context, ...]:
        pane = self.current
        if isinstance(pane, TerminalPane) and pane.ready and pane.terminal.live:
            return ("live",) if pane.terminal.reads_keys else ("nobody",)
        return (*(pane.CONTEXTS if pane else ()), "panes", "app")

    def actions(self) -> list[Action]:
        pane = self.current
        idle = pane.idle_actions if isinstance(pane, TerminalPane) and pane.ready else frozenset[str]()
        named = ("terminal", "nobody")
        return [one for one in super().actions() if one.context not in named or one.id not in idle]

    def show_keys(self) -> None:
        nobody = self.contexts() == ("nobody",)
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

    async def carry_out(self, action: Action) -> None:
        pane = self.current
        if action.context in ("log", "live", "nobody", "terminal") and pane is not None:
            target = pane.terminal if isinstance(pane, TerminalPane) else pane
            await target.run_action(action.id)
        else:
            await super().carry_out(action)

    def place(self) -> tuple[str, ...]:
        zoomed = " (zoomed)" if self._zoomed else ""
        return (f"panes{zoomed}",)

    def show(self, view: FleetView) -> None:
        for pane in self._panes.values():
            found = view.session(pane.info.id) if pane.info is not None else None
            pane.show_session(found[1] if found else pane.session)
        self.show_keys()

    def settle_detached(self, view: FleetView) -> None:
        """See `Streams.settle_detached`."""
        self._streams.settle_detached(view, {pane.info.id for pane in self._panes.values() if pane.info})

    # opening and closing

    def open_log(self, uuid: str, sandbox: str, info: SessionInfo, *, behind: bool = False) -> None:
        """Tail a session; when a pane does that already, go there. ``behind`` the others: who types goes on typing."""
        if behind or not self._go_to_session(info.id):
            self._add(LogPane(self._key(), uuid, sandbox, info, self.console_app.clock), behind=behind)

    def open_terminal(self, uuid: str, sandbox: str, info: SessionInfo, *, with_input: bool) -> None:
        """Show a session's terminal, with the keyboard or watching."""
        pane = self._pane_of(info.id)
        if isinstance(pane, TerminalPane):
            self._go_to_session(info.id)
            if with_input and not pane.typing:
                self._streams.attach_again(pane, typing=True)
            elif with_input and pane.ready and pane.terminal.reads_keys:
                pane.terminal.action_step_in()
            return
        self._add(TerminalPane(self._key(), uuid, sandbox, info, typing=with_input))

    def open_shell(self, info: SandboxInfo) -> None:
        """Start a shell once the pane has its size, so that it is right from the first prompt."""
        self._add(TerminalPane(self._key(), info.uuid, info.name, None, typing=True), shell=info)

    def _key(self) -> str:
        self._count += 1
        return f"pane-{self._count}"

    def _pane_of(self, session: str) -> Pane | None:
        return next((p for p in self._panes.values() if p.info is not None and p.info.id == session), None)

    def _go_to_session(self, session: str) -> bool:
        pane = self._pane_of(session)
        if pane is None:
            return False
        self._current = pane.id
        if self._zoomed is not None:
            self._zoomed = pane.id
            self._lay_out()
        self._focus_current()
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
        self._tree = tiles.insert(self._tree, self._current or "", pane.id, stacked=stacked)
        self._panes[pane.id] = pane
        if not behind or self._current is None:
            self._current = pane.id
            self._zoomed = None
        if shell is not None:
            self._streams.begin_with(pane, shell)
        if self.ready:
            self._begin(pane)

    def _stack_next(self) -> bool:
        """Split the longer side of the current pane; a cell is about twice as high as wide."""
        if not self.ready or self._current is None:
            return False
        box = self.query_one(Tiling).places.get(self._current)
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
        self.query_one(Tiling).lay_out(self._tree, self._zoomed)

    def _focus_current(self) -> None:
        pane = self.current
        if pane is not None and pane.ready and not pane.has_focus_within:
            pane.take_focus()  # else somebody types a search there already
        self.show_keys()

    def on_descendant_focus(self) -> None:
        wanted = self.current
        if wanted is None or wanted.ready:  # else the focus comes to it as soon as it is there
            for key, pane in self._panes.items():
                if pane.has_focus_within:
                    self._current = key
        self.show_keys()

    def close(self, pane: Pane) -> None:
        """Close a pane; its session goes on."""
        assert pane.id is not None
        order = tiles.leaves(self._tree)
        at = order.index(pane.id)
        self._tree = tiles.remove(self._tree, pane.id)
        del self._panes[pane.id]
        self._streams.forget(pane)
        if self._zoomed == pane.id:
            self._zoomed = None
        left = tiles.leaves(self._tree)
        self._current = left[min(at, len(left) - 1)] if left else None
        pane.remove()
        self._lay_out()
        self._focus_current()
        if not left:
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
            self._ask_save(pane)

    def _ask_save(self, pane: LogPane) -> None:
        info = pane.info
        assert info is not None

        def answered(name: str | None) -> None:
            if name is None:
                return
            path = Path(name).expanduser()

            async def work() -> str:
                written = await save(pane.uuid, info.id, path, self.console_app.priority)
                return f"{size(written)} saved to {path}"

            self.console_app.operations.perform(f"saving {path.name}", work)

        name = f"{pane.sandbox}-{info.id[:8]}.log"
        app_of(self).push_screen(
            Prompt("Save all of its output to", "a file", value=name, verb="save"), answered
        )

    # what is done with panes

    def _focus_in_order(self, step: int) -> None:
        order = tiles.leaves(self._tree)
        if self._current in order:
            self._move_to(order[(order.index(self._current) + step) % len(order)])

    def _move_to(self, key: str) -> None:
        self._current = key
        if self._zoomed is not None:
            self._zoomed = key
            self._lay_out()
        self._focus_current()

    def action_next(self) -> None:
        self._focus_in_order(1)

    def action_previous(self) -> None:
        self._focus_in_order(-1)

    def action_go(self, way: tiles.Direction) -> None:
        places = self.query_one(Tiling).places
        if self._current in places and (other := tiles.neighbour(places, self._current, way)) is not None:
            self._move_to(other)

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
        self._zoomed = None if self._zoomed is not None else self._current
        self._lay_out()
        self.tick()
        self._focus_current()

    def action_resize(self, steps: int) -> None:
        if self._tree is not None and self._current is not None:
            self._tree = tiles.resized(self._tree, self._current, steps)
            self._lay_out()

    def action_even(self) -> None:
        if self._tree is not None:
            self._tree = tiles.even(self._tree)
            self._lay_out()

    def action_close(self) -> None:
        if (pane := self.current) is not None:
            self.close(pane)

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
