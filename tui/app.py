"""The console: holds what is known of the core, runs what was asked of it, and knows the screens. Little else."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.app import App
from textual.events import Event, Key, MouseDown, Paste
from textual.reactive import Reactive

from sandtop.core.errors import SandtopError
from sandtop.tui import gateway
from sandtop.tui.actions import bindings_of
from sandtop.tui.garbage import GarbageCollection
from sandtop.tui.input_priority import InputPriority
from sandtop.tui.notices import Notice, Notices
from sandtop.tui.palette import Commands
from sandtop.tui.screens.base import ConsoleScreen
from sandtop.tui.screens.dialogs import Pick
from sandtop.tui.screens.fleet import FleetScreen
from sandtop.tui.screens.pages import help_page
from sandtop.tui.screens.sandbox import SandboxScreen
from sandtop.tui.theme import DARK, DARK_ANSI, LIGHT, LIGHT_ANSI
from sandtop.tui.tty.driver import TerminalDriver
from sandtop.tui.typeahead import KeyDelivered, TypeAhead

from .operations import Operations, what_next

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType
    from textual.binding import BindingType
    from textual.screen import Screen

    from sandtop.tui.screens.panes import PanesScreen
    from sandtop.tui.store import SandboxView, SessionView, Store
    from sandtop.tui.tty.shutdown import Shutdown

LOOK_INTERVAL: Final = 0.5
"""Seconds between two looks at the core."""
_TICK: Final = 1.0


class Console(App[None], inherit_bindings=False):
    """``clock`` gives seconds since the epoch."""

    CSS_PATH = "app.tcss"
    TITLE = "sandtop"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("app")]
    COMMANDS: ClassVar[set[type[Commands]]] = {Commands}  # type: ignore[assignment]  # pyright: ignore
    ENABLE_COMMAND_PALETTE = True
    ansi_theme_dark = Reactive(DARK_ANSI, init=False)
    ansi_theme_light = Reactive(LIGHT_ANSI, init=False)

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        interval: float = LOOK_INTERVAL,
        shutdown: Shutdown | None = None,
    ) -> None:
        self.shutdown = shutdown
        super().__init__(driver_class=TerminalDriver)
        for theme in (DARK, LIGHT):
            self.register_theme(theme)
        # before the style sheets are read, so that they are read once
        self.set_reactive(App.theme, DARK.name)
        self.stylesheet.set_variables(self.get_css_variables())
        self.store = store
        self.clock = clock
        self.notices = Notices()
        self.priority = InputPriority()
        self._garbage = GarbageCollection()
        self._keys = TypeAhead(self, self._settled)
        self.started_at = clock()
        self.operations = Operations(self)
        self._panes: PanesScreen | None = None
        self.fleet = FleetScreen()
        self._interval = interval
        self._nudged = asyncio.Event()

    def on_mount(self) -> None:
        self.push_screen(self.fleet)
        if self.shutdown is not None:
            loop = asyncio.get_running_loop()

            def leave(status: int) -> None:
                loop.call_soon_threadsafe(self.exit, None, status)

            self.shutdown.leave = leave
        self.run_worker(self._watch(), group="watch", exit_on_error=True)
        self.set_interval(_TICK, self.tick)

    def exit(self, result: None = None, return_code: int = 0, message: RenderableType | None = None) -> None:
        super().exit(result, return_code, message)
        if self.shutdown is not None:
            self.shutdown.leaving(return_code)

    def repaint(self) -> None:
        """The terminal takes output again: show how things are now."""
        if self._running and self.screen_stack:
            self.screen.refresh(layout=True)

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        """Leave out frames that a terminal which takes nothing would only show when they are old."""
        driver = self._driver
        if not (isinstance(driver, TerminalDriver) and driver.clogged):
            super()._display(screen, renderable)  # pyright: ignore[reportUnknownMemberType]

    @property
    def panes(self) -> PanesScreen:
        """The screen with the panes. The terminal emulator comes with it: a fifth of a second at the first pane."""
        if self._panes is None:
            from sandtop.tui.screens.panes import PanesScreen

            self._panes = PanesScreen()
            self.install_screen(self._panes, "panes")  # pyright: ignore[reportUnknownMemberType]
        return self._panes

    @property
    def open_panes(self) -> int:
        """How many panes there are."""
        return 0 if self._panes is None else self._panes.count

    async def on_event(self, event: Event) -> None:
        typed = isinstance(event, (Key, Paste)) and not event.is_forwarded
        if typed or (isinstance(event, MouseDown) and not event.is_forwarded):
            self.priority.input_came()
            self.operations.did_something_else(event)
        if not isinstance(event, (Key, Paste)) or not typed:
            await super().on_event(event)
        elif self._keys.may_go(event):
            screen = self.screen
            if not (isinstance(screen, ConsoleScreen) and screen.catches(event)):
                await super().on_event(event)
            self._keys.went()

    @on(KeyDelivered)
    def _key_handled(self) -> None:
        self._keys.came_up()

    def _settled(self) -> bool:
        """Whether what was opened last is there and has the keyboard."""
        if not self.screen_stack:  # it is going
            return True
        screen = self.screen
        if isinstance(screen, ConsoleScreen):
            return screen.takes_keys
        return screen.is_mounted and screen.focused is not None

    # looking at the core

    async def _watch(self) -> None:
        """Looks at the core again and again, and shows what it sees."""
        while True:
            try:
                sandboxes, sessions = await gateway.look()
                self.store.take(sandboxes, sessions, self.clock())
            except SandtopError as error:
                self.store.failed(str(error))
            self._show()
            if self.store.view.version == 1 and not self.is_headless:
                self._garbage.freeze()
            try:
                async with asyncio.timeout(self._interval):
                    await self._nudged.wait()
            except TimeoutError:
                pass
            self._nudged.clear()

    def look_now(self) -> None:
        """Something has changed: look at the core at once."""
        self._nudged.set()

    @property
    def _seen(self) -> ConsoleScreen | None:
        """The nearest full screen, if it has its widgets: questions over it show it through."""
        nearest = next((one for one in reversed(self.screen_stack) if isinstance(one, ConsoleScreen)), None)
        return nearest if nearest is not None and nearest.ready else None

    def _show(self) -> None:
        """Show the view where somebody sees it. What is below shows it when it comes back."""
        if self._panes is not None:
            self._panes.settle_detached(self.store.view)
        if (screen := self._seen) is not None:
            screen.show(self.store.view)
        self.tick()

    def tick(self) -> None:
        """Show what is said, and how late it is."""
        self._garbage.collect_if_idle(self.priority.last_input_at)
        if (screen := self._seen) is not None:
            screen.tick()

    # saying things

    def refresh_view(self) -> None:
        """Show the same data anew: something of the console's own has changed."""
        self.store.again()
        self._show()

    def say(self, text: str) -> Notice:
        """Say something that goes away by itself, or when it is settled."""
        notice = self.notices.note(text, self.clock())
        self.tick()
        return notice

    def say_error(self, text: str) -> Notice:
        """Say something that stays until it is read, or settled."""
        notice = self.notices.error(text, self.clock())
        self.tick()
        return notice

    # going places

    def show_sandbox(self, uuid: str) -> None:
        """The sessions of a sandbox."""
        self._leave_to(self.fleet)
        self.fleet.select(uuid)
        self.push_screen(SandboxScreen(uuid))

    def _leave_to(self, screen: ConsoleScreen) -> None:
        while self.screen is not screen and len(self.screen_stack) > 2:
            self.pop_screen()

    def show_panes(self) -> None:
        """The panes, over whatever shows."""
        if self._panes is None or self._panes.is_empty:
            self.say("no panes yet: enter on a session opens one, a opens a shell")
        elif self.screen is not self.panes:
            if self.panes in self.screen_stack:
                self._leave_to(self.panes)
            else:
                self.push_screen("panes")

    def open_session(self, sandbox: SandboxView, session: SessionView) -> None:
        """Tail a session in a pane; a terminal is watched."""
        if session.info.tty:
            self.panes.open_terminal(sandbox.uuid, sandbox.name, session.info, with_input=False)
        else:
            self.panes.open_log(sandbox.uuid, sandbox.name, session.info)
        self.show_panes()

    def attach(self, sandbox: SandboxView, session: SessionView) -> None:
        """Step into a session's terminal."""
        self.panes.open_terminal(sandbox.uuid, sandbox.name, session.info, with_input=True)
        self.show_panes()

    def open_shell(self, sandbox: SandboxView) -> None:
        """A new shell in a pane."""
        if sandbox.info.state != "running":
            self.say_error(f"{sandbox.name} is {sandbox.info.state}: {what_next(sandbox)}")
            return
        self.panes.open_shell(sandbox.info)
        self.show_panes()

    def action_help(self) -> None:
        screen = self.screen
        if isinstance(screen, ConsoleScreen):
            self.push_screen(help_page(screen.contexts()))

    def action_terminals(self) -> None:
        """Terminals that run: the way back to what one detached from."""
        found = {
            session.id: (sandbox, session)
            for sandbox in self.store.view.sandboxes
            for session in sandbox.sessions
            if session.info.tty and not session.ended
        }
        if not found:
            self.say("no terminal is running: a opens a shell")
            return

        def chosen(key: str | None) -> None:
            if key is not None:
                self.attach(*found[key])

        options = [(key, _terminal_line(*pair)) for key, pair in found.items()]
        self.push_screen(Pick("Come back to a terminal", options), chosen)

    def action_next_trouble(self) -> None:
        self._go_to_trouble(1)

    def action_previous_trouble(self) -> None:
        self._go_to_trouble(-1)

    def _go_to_trouble(self, step: int) -> None:
        troubled = [sandbox.uuid for sandbox in self.store.view.troubled]
        if not troubled:
            self.say("nobody needs you")
            return
        cursor = self.fleet.cursor
        at = troubled.index(cursor.uuid) if cursor is not None and cursor.uuid in troubled else None
        if self.screen is not self.fleet and at is not None and len(troubled) == 1:
            step = 0
        number = (0 if step > 0 else -1) if at is None else (at + step) % len(troubled)
        self._leave_to(self.fleet)
        self.fleet.select(troubled[number])

    def action_dark(self) -> None:
        self.theme = LIGHT.name if self.current_theme.dark else DARK.name


def _terminal_line(sandbox: SandboxView, session: SessionView) -> str:
    held = f"  held by {session.info.input_holder}" if session.info.input_holder else "  nobody types"
    return f"{sandbox.name}  {session.command}  {session.id[:8]}{held}"
