"""Which panes there are: opening, closing and finding them, and giving one the keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on

from sandtop.tui.widgets.app_of import app_of
from sandtop.tui.widgets.log_pane import LogPane
from sandtop.tui.widgets.merged_pane import MergedPane
from sandtop.tui.widgets.pane import Pane
from sandtop.tui.widgets.terminal_pane import TerminalPane
from sandtop.tui.widgets.tiling import Tiling

from . import pane_memory
from .base import ConsoleScreen
from .pane_layout import PaneLayout
from .pane_streams import Streams

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from sandtop.core.client.sdk import SandboxInfo, SessionInfo
    from sandtop.tui import tiles
    from sandtop.tui.store import FleetView


class PaneSet(ConsoleScreen):
    """The panes of a screen. `PaneLayout` knows where each is, and `Streams` gives each its session's output."""

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
        self.show(self.view)
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

    def action_back(self) -> None:
        if app_of(self).screen is self:
            app_of(self).pop_screen()
