"""The console's screens, and the ways between them. Whatever opens a screen or a pane is here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandtop.tui import tiles
from sandtop.tui.evidence import Evidence, after, evidence_in
from sandtop.tui.screens.failures import FailuresScreen
from sandtop.tui.screens.fleet import FleetScreen
from sandtop.tui.screens.pane_names import known
from sandtop.tui.screens.sandbox import SandboxScreen
from sandtop.tui.screens.sandbox_page import SandboxPage
from sandtop.tui.screens.terminals import TerminalsScreen, terminals_of
from sandtop.tui.text import what_next

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sandtop.tui.screens.base import ConsoleScreen
    from sandtop.tui.screens.panes import PanesScreen
    from sandtop.tui.store import FleetView, SandboxView, SessionView
    from sandtop.tui.tiles import Tree

    from .app import Console


class Navigation:
    """The screens of ``console``. The list of sandboxes is at the bottom of the stack and is never left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._panes: PanesScreen | None = None
        self._acknowledged: set[str] = set()
        self.fleet = FleetScreen()

    def begin(self) -> None:
        """Show the list of sandboxes."""
        self._console.push_screen(self.fleet)

    @property
    def panes(self) -> PanesScreen:
        """The screen with the panes, made at first use: importing the terminal emulator takes a fifth of a second."""
        if self._panes is None:
            from sandtop.tui.screens.panes import PanesScreen

            self._panes = PanesScreen()
            self._console.install_screen(self._panes, "panes")  # pyright: ignore[reportUnknownMemberType]
        return self._panes

    @property
    def panes_if_any(self) -> PanesScreen | None:
        """The screen with the panes if it was made already."""
        return self._panes

    @property
    def open_panes(self) -> int:
        """How many panes there are."""
        return 0 if self._panes is None else self._panes.count

    def _leave_to(self, screen: ConsoleScreen) -> None:
        console = self._console
        while console.screen is not screen and len(console.screen_stack) > 2:
            console.pop_screen()

    # going somewhere

    def show_fleet(self, uuid: str) -> None:
        """The list of sandboxes, with the cursor on one of them."""
        self._leave_to(self.fleet)
        self.fleet.select(uuid)

    def mark_in_list(self, uuids: Collection[str]) -> None:
        """The list of sandboxes, with these marked and no others."""
        if uuids:
            self.show_fleet(next(iter(uuids)))
            self.fleet.rows.mark_only(uuids)

    def show_sandbox(self, uuid: str) -> None:
        """The sessions of a sandbox."""
        self.show_fleet(uuid)
        self._console.push_screen(SandboxScreen(uuid))

    def show_page(self, uuid: str) -> None:
        """A sandbox's own page, over whatever shows."""
        self._console.push_screen(SandboxPage(uuid))

    def show_panes(self) -> None:
        """The panes, over whatever shows."""
        if not self.open_panes:
            self._console.say("no panes yet: enter on a session opens one, a opens a shell")
        elif self._console.screen is not self.panes:
            if self.panes in self._console.screen_stack:
                self._leave_to(self.panes)
            else:
                self._console.push_screen("panes")

    # opening panes

    def open_again(self, tree: Tree, zoomed: str | None, view: FleetView) -> None:
        """Have the panes that were open when the console was left, behind the list."""
        if not self.open_panes and any(known(name, view) for name in tiles.leaves(tree)):
            self.panes.open_again(tree, zoomed, view)

    def open_session(self, sandbox: SandboxView, session: SessionView) -> None:
        """Show a session in a pane: a terminal to watch, anything else as a log."""
        if session.info.tty:
            self.panes.open_terminal(sandbox.uuid, sandbox.name, session.info, with_input=False)
        else:
            self.panes.open_log(sandbox.uuid, sandbox.name, session.info)
        self.show_panes()

    def open_merged(self, sandboxes: Sequence[SandboxView]) -> None:
        """Show the logs of several sandboxes in one pane."""
        self.panes.open_merged({sandbox.uuid: sandbox.name for sandbox in sandboxes})
        self.show_panes()

    def attach(self, sandbox: SandboxView, session: SessionView) -> None:
        """Show a session's terminal in a pane, and give it the keyboard."""
        self.panes.open_terminal(sandbox.uuid, sandbox.name, session.info, with_input=True)
        self.show_panes()

    def open_shell(self, sandbox: SandboxView) -> None:
        """Start a shell and show it in a pane."""
        if sandbox.info.state != "running":
            self._console.say_error(
                f"{sandbox.name} is {sandbox.info.state}: {what_next(sandbox.info.state)}"
            )
            return
        self.panes.open_shell(sandbox.info)
        self.show_panes()

    # finding something

    def pick_terminal(self) -> None:
        """The running terminals, to come back to one."""
        console = self._console
        if not any(terminals_of(console.store.view)):
            console.say("no terminal is running: a opens a shell")
        elif not isinstance(console.screen, TerminalsScreen):
            console.push_screen(TerminalsScreen())

    # what needs somebody

    def show_evidence(self, step: int, *, done: str | None = None) -> None:
        """Open the next (1) or previous (-1) piece of what needs somebody: a log, a screen, or a sandbox in the list.

        ``done``: the piece that has just been acknowledged; what is known of the core does not say so yet.
        """
        console = self._console
        if done is not None:
            self._acknowledged.add(done)
        everything = evidence_in(console.store.view)
        self._acknowledged &= {one.key for one in everything}
        at = self._at
        # where one stands counts, though it was acknowledged: from there it goes on
        found = [one for one in everything if one.key == at or one.key not in self._acknowledged]
        if not any(one.key not in self._acknowledged for one in found):
            if done is not None and self._panes is not None and console.screen is self._panes:
                self._panes.action_back()
            console.say("nobody needs you")
            return
        cursor = self.fleet.cursor if console.screen is self.fleet else None
        one = after(found, at, step, beside=cursor.uuid if cursor else None)
        if one.key == at:
            console.say("nothing else needs you")
        self._open_evidence(one)

    def ask_again(self, keys: Iterable[str]) -> None:
        """What these pieces show is not acknowledged any more."""
        self._acknowledged.difference_update(keys)

    @property
    def _at(self) -> str | None:
        """The piece that is looked at now, if any."""
        screen = self._console.screen
        if self._panes is not None and screen is self._panes:
            pane = self._panes.current
            return pane.info.id if pane is not None and pane.info is not None else None
        if screen is self.fleet and (cursor := self.fleet.cursor) is not None:
            return cursor.uuid  # of a sandbox that failed itself, its row is all there is to see
        return None

    def _open_evidence(self, one: Evidence) -> None:
        if one.session is None:
            self.show_fleet(one.sandbox.uuid)
        elif one.session.info.tty:
            self.panes.open_terminal(
                one.sandbox.uuid, one.sandbox.name, one.session.info, with_input=False, evidence=True
            )
            self.show_panes()
        else:
            self.panes.open_log(one.sandbox.uuid, one.sandbox.name, one.session.info, evidence=True)
            self.show_panes()

    def show_session_evidence(self, uuid: str, key: str) -> bool:
        """The log of a session where its failure shows, or its screen; False when it is gone."""
        sandbox = self._console.store.view.find(uuid)
        session = next((one for one in sandbox.sessions if one.id == key), None) if sandbox else None
        if sandbox is None or session is None:
            return False
        self._open_evidence(Evidence(sandbox, session))
        return True

    def show_failures(self) -> None:
        """The timeline of all failures."""
        if not isinstance(self._console.screen, FailuresScreen):
            self._leave_to(self.fleet)
            self._console.push_screen(FailuresScreen())
