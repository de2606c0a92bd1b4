"""The console's screens, and the ways between them. Whatever opens a screen or a pane is here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandtop.tui.screens.fleet import FleetScreen
from sandtop.tui.screens.sandbox import SandboxScreen
from sandtop.tui.screens.terminals import TerminalsScreen, terminals_of
from sandtop.tui.text import what_next

if TYPE_CHECKING:
    from sandtop.tui.screens.base import ConsoleScreen
    from sandtop.tui.screens.panes import PanesScreen
    from sandtop.tui.store import SandboxView, SessionView

    from .app import Console


class Navigation:
    """The screens of ``console``. The list of sandboxes is at the bottom of the stack and is never left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._panes: PanesScreen | None = None
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

    def show_sandbox(self, uuid: str) -> None:
        """The sessions of a sandbox."""
        self.show_fleet(uuid)
        self._console.push_screen(SandboxScreen(uuid))

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

    def open_session(self, sandbox: SandboxView, session: SessionView) -> None:
        """Show a session in a pane: a terminal to watch, anything else as a log."""
        if session.info.tty:
            self.panes.open_terminal(sandbox.uuid, sandbox.name, session.info, with_input=False)
        else:
            self.panes.open_log(sandbox.uuid, sandbox.name, session.info)
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

    def show_trouble(self, step: int) -> None:
        """The list, with the cursor on the next (1) or previous (-1) sandbox that needs somebody."""
        console = self._console
        troubled = [sandbox.uuid for sandbox in console.store.view.troubled]
        if not troubled:
            console.say("nobody needs you")
            return
        cursor = self.fleet.cursor
        at = troubled.index(cursor.uuid) if cursor is not None and cursor.uuid in troubled else None
        if console.screen is not self.fleet and at is not None and len(troubled) == 1:
            step = 0
        number = (0 if step > 0 else -1) if at is None else (at + step) % len(troubled)
        self.show_fleet(troubled[number])
