"""What all full screens have: the bars, and the console behind them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar, cast

from textual.screen import Screen

from sandtop.tui.actions import Action, Context, actions_of
from sandtop.tui.text import age
from sandtop.tui.widgets.app_of import app_of
from sandtop.tui.widgets.bars import Banner, Header, KeyBar, NoticeBar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.app import ComposeResult
    from textual.events import Key, Paste
    from textual.widget import Widget

    from sandtop.tui.app import Console
    from sandtop.tui.store import FleetView

STALE_SECONDS = 3.0
NOTHING_MATCHES = "nothing matches: esc takes the filter away"


class ConsoleScreen(Screen[None]):
    """A screen with header, notices and keys around its own ``body``."""

    DEFAULT_CSS = """
    ConsoleScreen { layers: base notices; }
    """
    AUTO_FOCUS: ClassVar[str | None] = "RowList"
    CONTEXT: ClassVar[Context] = "app"
    banner = ""
    """What is said across the screen."""
    _mounted = False

    @property
    def ready(self) -> bool:
        """Whether its widgets are there: not before it was mounted, nor while they go one after the other."""
        return self._mounted and not self._pruning and self.is_attached

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that somebody types ahead come before its widgets are there, too."""
        return self.ready and super().check_action(action, parameters)

    @property
    def takes_keys(self) -> bool:
        """Whether it is there and has the keyboard where it should be."""
        if not self.ready:
            return False
        return self.focused is not None or not any(one.focusable for one in self.query(self.AUTO_FOCUS))

    @property
    def console_app(self) -> Console:
        """The app, as what it is."""
        return cast("Console", app_of(self))

    @property
    def view(self) -> FleetView:
        return self.console_app.store.view

    def body(self) -> Iterable[Widget]:
        """The widgets between header and notices."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        yield Header()
        yield Banner()
        yield from self.body()
        yield NoticeBar()
        yield KeyBar()

    def on_mount(self) -> None:
        self._mounted = True
        self.show(self.view)
        self.tick()
        self.show_keys()

    def on_screen_resume(self) -> None:
        if self.ready:
            self.show(self.view)
            self.tick()
            self.show_keys()

    def contexts(self) -> tuple[Context, ...]:
        """Whose actions work now, the nearest first."""
        return (self.CONTEXT, "list", "app")

    def actions(self) -> list[Action]:
        """What works now."""
        return actions_of(*self.contexts())

    def catches(self, event: Key | Paste) -> bool:
        """Whether it has taken a key that would be a command here, and was meant for what it opens."""
        return False

    async def carry_out(self, action: Action) -> None:
        """Do what the palette chose, where its key would have done it."""
        await self.run_action(action.id if action.context != "app" else f"app.{action.id}")

    def show_keys(self) -> None:
        """Put the keys that work now into the footer."""
        self.query_one(KeyBar).show(self.actions())

    def place(self) -> tuple[str, ...]:
        """Where this is, for the header."""
        return ()

    def show(self, view: FleetView) -> None:
        """Show what is known now."""
        raise NotImplementedError

    def tick(self) -> None:
        """Show how late it is, how fresh the view, and what is said."""
        console, view = self.console_app, self.view
        now = console.clock()
        late = now - (view.at or console.started_at)
        stale = late > STALE_SECONDS and (view.version > 0 or bool(view.trouble))
        clock = time.strftime("%H:%M:%S", time.localtime(now))
        self.query_one(Header).show(self.place(), view, clock, stale)
        banner = ""
        if stale and view.version:
            at = time.strftime("%H:%M:%S", time.localtime(view.at))
            banner = (
                f"The core has not answered for {age(late)}. This is how things were at {at}; trying again."
            )
        elif stale:
            banner = f"The core cannot be reached; trying again. {view.trouble}"
        self.banner = banner
        self.query_one(Banner).show(banner)
        self.query_one(NoticeBar).show(console.notices.current(now))

    def cancelled(self) -> bool:
        """Escape: take back the nearest thing there is to take back; False when there was none."""
        if self.console_app.notices.dismiss():
            self.tick()
            return True
        if self.console_app.operations.leave_wait():
            self.console_app.say("it goes on in the background, and says when it is there")
            return True
        return False
