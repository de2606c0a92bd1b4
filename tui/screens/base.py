"""What all full screens have: the lines at the edges, and which actions work on them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.screen import Screen

from sandtop.tui.actions import SCOPES, Action, ScopeName, actions_of, elsewhere, scopes_at, shown_key
from sandtop.tui.text import age
from sandtop.tui.widgets.app_of import app_of
from sandtop.tui.widgets.bars import Banner, Header, KeyBar, NoticeBar
from sandtop.tui.widgets.row_list import RowList

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.app import ComposeResult
    from textual.dom import DOMNode
    from textual.events import Key, Paste
    from textual.widget import Widget

    from sandtop.tui.app import Console
    from sandtop.tui.custom import Chosen
    from sandtop.tui.store import FleetView

STALE_SECONDS = 3.0
"""When the core has not answered for so long, the screen says so."""


class ConsoleScreen(Screen[None]):
    """A screen with header, notices and keys around its own ``body``."""

    DEFAULT_CSS = """
    ConsoleScreen { layers: base notices; }
    """
    AUTO_FOCUS: ClassVar[str | None] = "RowList"
    SCOPE: ClassVar[ScopeName]
    """The scope of its own actions."""
    banner = ""
    """What is said across the screen."""
    _mounted = False

    @property
    def ready(self) -> bool:
        """Whether its widgets are there: not before it was mounted, nor while it is taken apart."""
        return self._mounted and not self._pruning and self.is_attached

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """No action runs before its widgets are there: keys that were typed ahead come that early."""
        return self.ready and super().check_action(action, parameters)

    @property
    def takes_keys(self) -> bool:
        """Whether its widgets are there and the one that should have the keyboard has it."""
        if not self.ready:
            return False
        return self.focused is not None or not any(one.focusable for one in self.query(self.AUTO_FOCUS))

    @property
    def console_app(self) -> Console:
        """The app that it is in."""
        return cast("Console", app_of(self))

    @property
    def view(self) -> FleetView:
        """What is known of the core now."""
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

    def scopes(self) -> tuple[ScopeName, ...]:
        """The scopes whose actions work now, the nearest first."""
        return scopes_at(self.SCOPE)

    def actions(self) -> list[Action]:
        """What can be done now."""
        scopes = self.scopes()
        return [*actions_of(*scopes), *self.console_app.custom.actions(scopes)]

    def on_key(self, event: Key) -> None:
        """A key that nothing here is bound to: a command of the user's own may be, or it does something elsewhere."""
        scopes = self.scopes()
        number = self.console_app.custom.of_key(event.key, event.character, scopes)
        if not self.ready:
            return
        if number is not None:
            event.stop()
            self.action_custom(number)
        elif (other := elsewhere(event.key, scopes)) is not None:
            where, key = SCOPES[other.scope].title, shown_key(_written(event))
            self.console_app.say(f"{key} does nothing here. {where}: {other.help}")

    def action_custom(self, number: int) -> None:
        """Carry out a command of the user's own, on what is marked or under the cursor."""
        self.console_app.custom.run(number, self.custom_targets())

    def custom_targets(self) -> list[Chosen]:
        """What a command of the user's own applies to."""
        return []

    def catches(self, event: Key | Paste) -> bool:
        """Take ``event`` if it was meant for what this screen is about to open; False when it was not."""
        return False

    def owner_of(self, scope: ScopeName) -> DOMNode:
        """Who carries out the actions of ``scope`` on this screen."""
        if scope == "app":
            return self.console_app
        return self.query_one(RowList) if scope == "list" else self

    async def carry_out(self, action: Action) -> None:
        """Do what the palette chose, as its key would have done it."""
        await self.console_app.run_action(action.call, default_namespace=self.owner_of(action.scope))

    def ask_again(self) -> None:
        """Take an acknowledgement back: the last one."""
        self.console_app.operations.unacknowledge()

    @on(KeyBar.Clicked)
    async def _key_clicked(self, event: KeyBar.Clicked) -> None:
        await self.carry_out(event.action)

    @on(Header.NeedClicked)
    def _need_clicked(self) -> None:
        self.console_app.action_next_trouble()

    def show_keys(self) -> None:
        """Put the keys that work now into the last line."""
        self.query_one(KeyBar).show(self.actions())

    def place(self) -> tuple[str, ...]:
        """Where this is, for the header."""
        return ()

    def show(self, view: FleetView) -> None:
        """Show what is known now."""
        raise NotImplementedError

    def tick(self) -> None:
        """Show the time, how old the view is, and the notice that is due."""
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
        """Escape: dismiss the error that shows, else stop waiting for what was asked; False when there was neither."""
        if self.console_app.notices.dismiss():
            self.tick()
            return True
        if self.console_app.operations.leave_wait():
            self.console_app.say("it goes on in the background, and says when it is there")
            return True
        return False


def _written(event: Key) -> str:
    """A key as the table of actions has it."""
    return event.character if event.character and event.is_printable else event.key
