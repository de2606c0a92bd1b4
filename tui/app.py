"""The console: holds what is known of the core, runs what was asked of it, and knows the screens. Little else."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.app import App
from textual.events import Event, Key, MouseDown, Paste

from sandtop.core.errors import SandtopError
from sandtop.tui import gateway
from sandtop.tui.actions import bindings_of
from sandtop.tui.driver import TerminalDriver
from sandtop.tui.notices import Notice, Notices
from sandtop.tui.pace import Pace
from sandtop.tui.palette import Commands
from sandtop.tui.screens.base import ConsoleScreen
from sandtop.tui.screens.dialogs import Pick, Prompt
from sandtop.tui.screens.fleet import FleetScreen
from sandtop.tui.screens.reading import help_page
from sandtop.tui.screens.sandbox import SandboxScreen
from sandtop.tui.text import neutral, plural
from sandtop.tui.theme import DARK, LIGHT
from sandtop.tui.typeahead import Handled, TypeAhead

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from rich.console import RenderableType
    from textual.binding import BindingType
    from textual.screen import Screen

    from sandtop.tui.ending import Ending
    from sandtop.tui.screens.panes import PanesScreen
    from sandtop.tui.store import SandboxView, SessionView, Store

LOOK_INTERVAL: Final = 0.5
"""Seconds between two looks at the core."""
_TICK: Final = 1.0
_AT_ONCE: Final = 8
"""Operations that are under way at the same time; more of them wait."""
_HISTORY: Final = 100


class Console(App[None], inherit_bindings=False):
    """``clock`` gives seconds since the epoch."""

    CSS_PATH = "app.tcss"
    TITLE = "sandtop"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("app")]
    COMMANDS: ClassVar[set[type[Commands]]] = {Commands}  # type: ignore[assignment]  # pyright: ignore
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        interval: float = LOOK_INTERVAL,
        ending: Ending | None = None,
    ) -> None:
        self.ending = ending
        super().__init__(driver_class=TerminalDriver)
        for theme in (DARK, LIGHT):
            self.register_theme(theme)
        # before the style sheets are read, so that they are read once
        self.set_reactive(App.theme, DARK.name)
        self.stylesheet.set_variables(self.get_css_variables())
        self.store = store
        self.clock = clock
        self.notices = Notices()
        self.pace = Pace()
        self._keys = TypeAhead(self, self._settled)
        self.started_at = clock()
        self.commands: list[str] = []
        """Commands that were run, oldest first."""
        self._panes: PanesScreen | None = None
        self.fleet = FleetScreen()
        self._interval = interval
        self._nudged = asyncio.Event()
        self._room = asyncio.Semaphore(_AT_ONCE)

    def on_mount(self) -> None:
        self.push_screen(self.fleet)
        if self.ending is not None:
            loop = asyncio.get_running_loop()

            def leave(status: int) -> None:
                loop.call_soon_threadsafe(self.exit, None, status)

            self.ending.leave = leave
        self.run_worker(self._watch(), group="watch", exit_on_error=True)
        self.set_interval(_TICK, self._tick)

    def exit(self, result: None = None, return_code: int = 0, message: RenderableType | None = None) -> None:
        super().exit(result, return_code, message)
        if self.ending is not None:
            self.ending.leaving(return_code)

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
            self.pace.pressed()
        if not isinstance(event, (Key, Paste)) or not typed:
            await super().on_event(event)
        elif self._keys.may_go(event):
            await super().on_event(event)
            self._keys.went()

    @on(Handled)
    def _key_handled(self) -> None:
        self._keys.came_up()

    def _settled(self) -> bool:
        """Whether what was opened last is there and has the keyboard."""
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
                self.pace.settle()
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
        if (screen := self._seen) is not None:
            screen.show(self.store.view)
        self._tick()

    def _tick(self) -> None:
        self.pace.rest()
        if (screen := self._seen) is not None:
            screen.tick()

    # doing things

    def perform(
        self,
        doing: str,
        work: Callable[[], Awaitable[str | None]],
        *,
        sandbox: SandboxView | None = None,
        notice: Notice | None = None,
    ) -> None:
        """Carry out ``work``, say so meanwhile (in ``notice``), and say what it returns or how it failed."""
        notice = notice or self.notices.progress(doing, self.clock())
        self.run_worker(self._perform(doing, work, sandbox, notice), group="operations", exit_on_error=False)

    async def _perform(
        self,
        doing: str,
        work: Callable[[], Awaitable[str | None]],
        sandbox: SandboxView | None,
        notice: Notice,
    ) -> None:
        if sandbox is not None:
            self.store.pending[sandbox.uuid] = doing.split(" ")[0]
        self._refresh_view()
        try:
            async with self._room:
                done = await work()
        except SandtopError as error:
            self.notices.error(f"{doing}: {error}", self.clock())
        except OSError as error:
            self.notices.error(f"{doing}: {error.strerror or error}", self.clock())
        else:
            if done:
                self.notices.done(done, self.clock())
        finally:
            self.notices.settle(notice)
            if sandbox is not None:
                self.store.pending.pop(sandbox.uuid, None)
            self._refresh_view()
            self.look_now()

    def _refresh_view(self) -> None:
        self.store.again(self.clock())
        self._show()

    def say(self, text: str) -> None:
        """Say something that goes away by itself."""
        self.notices.note(text, self.clock())
        self._tick()

    def say_error(self, text: str) -> Notice:
        """Say something that stays until it is read, or settled."""
        notice = self.notices.error(text, self.clock())
        self._tick()
        return notice

    def change(self, sandbox: SandboxView, verb: str, doing: str, done: str) -> None:
        """Start, stop, pause, resume, restart or remove a sandbox."""

        async def work() -> str:
            if verb == "remove":
                await gateway.remove(sandbox.uuid)
            else:
                await gateway.change(sandbox.uuid, verb)
            return f"{sandbox.name} {done}"

        self.perform(f"{doing} {sandbox.name}", work, sandbox=sandbox)

    def create(self, fields: dict[str, object]) -> None:
        """Make a sandbox, and put the cursor on it."""
        name = str(fields["name"])

        def progress(line: str) -> None:
            notice.text = f"creating {name}: {neutral(line)}"
            self._tick()

        async def work() -> str:
            made = await gateway.create(fields, progress)
            self.look_now()
            self.fleet.wanted = made.uuid
            return f"{name} is running: a opens a shell in it, x runs a command"

        notice = self.notices.progress(f"creating {name}", self.clock())
        self.perform(f"creating {name}", work, notice=notice)

    def acknowledge(
        self, sandboxes: Sequence[SandboxView], sessions: Sequence[SessionView] | None = None
    ) -> None:
        """Somebody has seen these failures; without ``sessions`` all that show in ``sandboxes``."""
        anything = False
        for sandbox in sandboxes:
            seen = [s.id for s in (sandbox.sessions if sessions is None else sessions) if s.needs_someone]
            machine = sessions is None and sandbox.has_failed
            if seen or machine:
                anything = True
                self.perform(
                    f"acknowledging {sandbox.name}", partial(self._acknowledge, sandbox, seen, machine)
                )
        if not anything:
            self.say("nothing to acknowledge here")

    async def _acknowledge(self, sandbox: SandboxView, sessions: Sequence[str], machine: bool) -> str:
        await gateway.acknowledge(sandbox.uuid, sessions, machine=machine)
        count = len(sessions) + machine
        kept = "it" if count == 1 else "them"
        return f"{plural(count, 'failure')} of {sandbox.name} acknowledged; the history keeps {kept}"

    def ask_command(self, sandboxes: Sequence[SandboxView]) -> None:
        """Ask for a command, run it in each, and tail it."""
        idle = [sandbox for sandbox in sandboxes if sandbox.info.state != "running"]
        if idle:
            self.say_error(f"{idle[0].name} is {idle[0].info.state}: {_what_next(idle[0].info.state)}")
        sandboxes = [sandbox for sandbox in sandboxes if sandbox.info.state == "running"]
        if not sandboxes:
            return
        where = sandboxes[0].name if len(sandboxes) == 1 else f"{len(sandboxes)} sandboxes"

        def answered(script: str | None) -> None:
            if script is not None:
                self.commands = [*[old for old in self.commands if old != script], script][-_HISTORY:]
                for sandbox in sandboxes:
                    self.perform(f"running in {sandbox.name}", partial(self._run_script, sandbox, script))

        prompt = Prompt(f"Run in {where}", "a command for its shell", history=self.commands)
        self.push_screen(prompt, answered)

    async def _run_script(self, sandbox: SandboxView, script: str) -> None:
        info = await gateway.run_script(sandbox.uuid, script)
        self.panes.open_log(sandbox.uuid, sandbox.name, info)
        self.show_panes()

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
            self.say_error(f"{sandbox.name} is {sandbox.info.state}: {_what_next(sandbox.info.state)}")
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


def _what_next(state: str) -> str:
    """What to do with a sandbox in which nothing can run."""
    if state == "paused":
        return "p lets it go on"
    return "u starts it" if state in ("stopped", "failed", "lost") else "wait a moment"
