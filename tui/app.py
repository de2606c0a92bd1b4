"""The console as Textual's app: it joins the parts, hands keys on, and shows what is known on the screen in front."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.app import App
from textual.events import Event, Key, MouseDown, Paste
from textual.reactive import Reactive

from sandtop.tui.actions import bindings_of
from sandtop.tui.alerts import NewAlerts
from sandtop.tui.garbage import GarbageCollection
from sandtop.tui.input_priority import InputPriority
from sandtop.tui.notices import Notice, Notices
from sandtop.tui.palette import Commands
from sandtop.tui.polling import POLL_SECONDS, Polling
from sandtop.tui.screens.base import ConsoleScreen
from sandtop.tui.screens.listing import ListScreen
from sandtop.tui.screens.pages import help_page
from sandtop.tui.screens.settings import settings_page
from sandtop.tui.stream.happening import listen
from sandtop.tui.stream.measuring import Measuring
from sandtop.tui.theme import DARK, LIGHT, LOOKS, THEMES, ThemeName, look
from sandtop.tui.tty.driver import TerminalDriver
from sandtop.tui.typeahead import KeyDelivered, TypeAhead
from sandtop.tui.watching import Watching

from .commands import RunCommands
from .custom import CustomCommands
from .navigation import Navigation
from .operations import Operations
from .personal import Personal

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType
    from textual.binding import BindingType
    from textual.screen import Screen

    from sandtop.core.paths import Paths
    from sandtop.tui.store import Store
    from sandtop.tui.tty.shutdown import Shutdown

_TICK_SECONDS: Final = 1.0


class Console(App[None], inherit_bindings=False):
    """The app.

    Attributes:
        store: what is known of the core; ``polling`` fills it.
        nav: the screens, and the ways between them.
        operations: what was asked of the core and is under way.
        commands: what the operator runs in sandboxes.
        custom: commands of the operator's own.
        notices: what is said to the operator.
        typeahead: the keys that wait for their turn.
        priority: whether output has to wait for a key.
        personal: the operator's own settings, and what is remembered.
        watching: looks at the session that a list's cursor is on.
        clock: the time, in seconds since the epoch.

    ``colours`` is the system of colours that the terminal has, as Rich names them; None for none. ``paths`` say where
    the operator's settings are; without them there are none, and nothing is remembered.
    """

    CSS_PATH = "app.tcss"
    TITLE = "sandtop"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("app")]
    COMMANDS: ClassVar[set[type[Commands]]] = {Commands}  # type: ignore[assignment]  # pyright: ignore
    ENABLE_COMMAND_PALETTE = True
    ansi_theme_dark = Reactive(DARK.programs, init=False)
    ansi_theme_light = Reactive(LIGHT.programs, init=False)

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        interval: float = POLL_SECONDS,
        shutdown: Shutdown | None = None,
        colours: str | None = "truecolor",
        paths: Paths | None = None,
    ) -> None:
        self.shutdown = shutdown
        self._colours = colours
        first = look("dark", colours)
        super().__init__(driver_class=TerminalDriver, ansi_color=first.theme.ansi)
        for one in LOOKS:
            self.register_theme(one.theme)
        self.theme_name: ThemeName = "dark"
        # before the style sheets are read, so that they are read once
        self.set_reactive(App.theme, first.theme.name)
        self.stylesheet.set_variables(self.get_css_variables())
        self.store = store
        self.clock = clock
        self.notices = Notices()
        self.priority = InputPriority()
        self._garbage = GarbageCollection()
        self.typeahead = TypeAhead(self, self._settled)
        self.started_at = clock()
        self._answered_before = False
        self.operations = Operations(self)
        self.nav = Navigation(self)
        self.personal = Personal(self, paths)
        self.commands = RunCommands(self)
        self.custom = CustomCommands(self)
        self._alerts = NewAlerts()
        self.watching = Watching(self._glanced)
        self.measuring = Measuring(store, self._measured)
        self.polling = Polling(store, lambda: self.clock(), interval, self._answered, self.priority.give_way)

    def on_mount(self) -> None:
        self.personal.begin()
        self.nav.begin()
        if self.shutdown is not None:
            loop = asyncio.get_running_loop()

            def leave(status: int) -> None:
                loop.call_soon_threadsafe(self.exit, None, status)

            self.shutdown.leave = leave
        self.run_worker(self.polling.run(), group="polling", exit_on_error=True)
        self.run_worker(self.measuring.run(), group="measuring", exit_on_error=True)
        self.run_worker(listen(self.store), group="events", exit_on_error=True)
        self.run_worker(self.watching.run(), group="watching", exit_on_error=True)
        self.set_interval(_TICK_SECONDS, self._every_second)

    def _every_second(self) -> None:
        self.personal.look()
        self.tick()

    def exit(self, result: None = None, return_code: int = 0, message: RenderableType | None = None) -> None:
        self.personal.write()
        super().exit(result, return_code, message)
        if self.shutdown is not None:
            self.shutdown.leaving(return_code)

    def repaint(self) -> None:
        """Draw everything: the terminal takes output again, after frames were left out."""
        if self._running and self.screen_stack:
            self.screen.refresh(layout=True)

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        """Leave a frame out while the terminal takes no output: it would be shown when it is old."""
        driver = self._driver
        if not (isinstance(driver, TerminalDriver) and driver.clogged):
            super()._display(screen, renderable)  # pyright: ignore[reportUnknownMemberType]

    async def on_event(self, event: Event) -> None:
        typed = isinstance(event, (Key, Paste)) and not event.is_forwarded
        if typed or (isinstance(event, MouseDown) and not event.is_forwarded):
            self.priority.input_came()
            self.operations.did_something_else(event)
        if not isinstance(event, (Key, Paste)) or not typed:
            await super().on_event(event)
        elif self.typeahead.admit(event):
            screen = self.screen
            if not (isinstance(screen, ConsoleScreen) and screen.catches(event)):
                await super().on_event(event)
            self.typeahead.handed_on()

    @on(KeyDelivered)
    def _key_delivered(self) -> None:
        self.typeahead.delivered()

    def _settled(self) -> bool:
        """Whether what was opened last is there and has the keyboard."""
        if not self.screen_stack:  # the app is closing
            return True
        screen = self.screen
        if isinstance(screen, ConsoleScreen):
            return screen.takes_keys
        return screen.is_mounted and screen.focused is not None

    # showing what is known

    @property
    def _in_front(self) -> ConsoleScreen | None:
        """The full screen that is seen, if it has its widgets. It is seen below a question, too."""
        nearest = next((one for one in reversed(self.screen_stack) if isinstance(one, ConsoleScreen)), None)
        return nearest if nearest is not None and nearest.ready else None

    def _answered(self) -> None:
        """The core was asked, and answered or did not."""
        if self.store.view.version and not self._answered_before:
            self._answered_before = True
            self.personal.first_view(self.store.view)
        self._show()
        self._tell_alerts()
        if self.store.view.version == 1 and not self.is_headless:
            self._garbage.freeze()

    def _tell_alerts(self) -> None:
        """Ring the bell, or have the terminal notify, for alerts that were raised since the last look."""
        for said in self._alerts.new_in(self.store.view):
            self.say(f"alert: {said.text}")
            if said.notify == "bell":
                self.bell()
            elif self._driver is not None and not self.is_headless:
                self._driver.write(f"\x1b]9;{said.text}\x07")

    def _show(self) -> None:
        """Show what is known on the screen in front. The others show it when they come to the front."""
        if (panes := self.nav.panes_if_any) is not None:
            panes.settle_detached(self.store.view)
        if (screen := self._in_front) is not None:
            screen.show(self.store.view)
        self.tick()

    def _measured(self) -> None:
        """The core has measured what is used."""
        self.store.measured()
        self._show()

    def _glanced(self) -> None:
        """There is something new to show of the session that is looked at."""
        if isinstance(screen := self._in_front, ListScreen):
            screen.glanced()

    def tick(self) -> None:
        """Show the notice that is due, and the time; once a second, and after each change."""
        self._garbage.collect_if_idle(self.priority.last_input_at)
        if (screen := self._in_front) is not None:
            screen.tick()

    # saying things

    def refresh_view(self) -> None:
        """Show what is known anew: the console's own part of it has changed (see `Store.again`)."""
        self.store.again()
        self._show()

    def say(self, text: str) -> Notice:
        """Say something to the operator; it goes away by itself, or when it is settled."""
        notice = self.notices.note(text, self.clock())
        self.tick()
        return notice

    def say_error(self, text: str) -> Notice:
        """Say what went wrong; it stays until the operator dismisses it, or it is settled."""
        notice = self.notices.error(text, self.clock())
        self.tick()
        return notice

    # what can be done everywhere

    def action_help(self) -> None:
        screen = self.screen
        if isinstance(screen, ConsoleScreen):
            self.push_screen(help_page(screen.scopes(), self.custom.actions(screen.scopes())))

    def action_terminals(self) -> None:
        self.nav.pick_terminal()

    def action_next_trouble(self) -> None:
        self.nav.show_evidence(1)

    def action_previous_trouble(self) -> None:
        self.nav.show_evidence(-1)

    def action_failures(self) -> None:
        self.nav.show_failures()

    def action_last_result(self) -> None:
        self.commands.show_last()

    def action_unacknowledge(self) -> None:
        screen = self.screen
        if isinstance(screen, ConsoleScreen):
            screen.ask_again()

    def action_settings(self) -> None:
        self.push_screen(settings_page(self.personal.config, self.personal.path, self.personal.trouble))

    def action_suspend(self) -> None:
        """Stop the console as ctrl-z stops a program of the shell's, which ``fg`` continues."""
        self.action_suspend_process()

    def use_theme(self, name: ThemeName) -> None:
        """Draw in the colours of theme ``name``, as far as the terminal has them."""
        self.theme_name = name
        chosen = look(name, self._colours).theme
        self.ansi_color = chosen.ansi
        self.theme = chosen.name

    def action_theme(self) -> None:
        self.use_theme(THEMES[(THEMES.index(self.theme_name) + 1) % len(THEMES)])
