"""A sandbox's own page: what it uses, its processes, connections, events and console, how its sessions ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.containers import Container

from sandtop.core.errors import SandtopError
from sandtop.tui import gateway
from sandtop.tui.actions import ScopeName, bindings_of
from sandtop.tui.text import neutral, plural
from sandtop.tui.widgets.app_of import app_of
from sandtop.tui.widgets.text_box import TextBox
from sandtop.tui.widgets.usage_panel import UsagePanel

from . import page_lines
from .base import ConsoleScreen
from .reading import show_raw

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from textual.binding import BindingType
    from textual.dom import DOMNode
    from textual.widget import Widget

    from sandtop.core.client.sdk import SandboxHistory
    from sandtop.tui.store import FleetView, SandboxView
    from sandtop.tui.widgets.worded import Words

_EVENTS: Final = 200
_CONSOLE_LINES: Final = 400
_AGAIN_SECONDS: Final = 2.0
_HOUR_STEP: Final = 60.0
_WIDE: Final = 120
"""From this width on all boxes are seen at once, if there are `_HIGH` rows; else one is."""
_HIGH: Final = 30


class SandboxPage(ConsoleScreen):
    """The page of the sandbox ``uuid``. It reads again every two seconds, while it is in front."""

    CSS_PATH = "sandbox_page.tcss"
    AUTO_FOCUS: ClassVar[str | None] = "#processes"
    SCOPE: ClassVar[ScopeName] = "page"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("page")]

    def __init__(self, uuid: str) -> None:
        super().__init__()
        self._uuid = uuid
        self._called = ""
        self._hour: SandboxHistory | None = None
        self._zoomed = False

    def body(self) -> Iterable[Widget]:
        yield UsagePanel()
        yield Container(
            Container(TextBox("processes"), TextBox("exits"), TextBox("connections"), id="left"),
            Container(TextBox("events"), TextBox("console", from_end=True), TextBox("facts"), id="right"),
            id="boxes",
        )

    def on_mount(self) -> None:
        self.run_worker(self._read(), group="reading", exclusive=True)

    def place(self) -> tuple[str, ...]:
        return (self._called, "page")

    @property
    def sandbox(self) -> SandboxView | None:
        """The sandbox, or None when it was removed."""
        return self.view.find(self._uuid)

    def owner_of(self, scope: ScopeName) -> DOMNode:
        focused = self.focused
        return focused if scope == "box" and isinstance(focused, TextBox) else super().owner_of(scope)

    # what it shows

    def show(self, view: FleetView) -> None:
        sandbox, now = view.find(self._uuid), self.console_app.clock()
        panel = self.query_one(UsagePanel)
        if sandbox is None:
            panel.show([(("It is gone: q goes back.", "bad"),)])
            return
        self._called = neutral(sandbox.name)
        panel.show(page_lines.usage(sandbox, self._hour, self.size.width, now))
        exits = page_lines.exit_lines(sandbox, now)
        self._box("exits").show(
            exits or [_nothing("no session has ended yet")],
            head=page_lines.EXIT_HEAD if exits else (),
            note=plural(len(exits), "session"),
        )
        facts = self._box("facts")
        facts.show(page_lines.fact_lines(sandbox, now, facts.content_size.width or self.size.width - 2))

    def _boxes(self) -> list[TextBox]:
        """The page's boxes: the one of connections only where the sandbox has an allow-list."""
        filtered = self.sandbox is not None and self.sandbox.info.network == "filtered"
        return [box for box in self.query(TextBox) if filtered or box.id != "connections"]

    def _box(self, name: str) -> TextBox:
        return self.query_one(f"#{name}", TextBox)

    async def _read(self) -> None:
        """Ask what the view does not tell, again and again."""
        await self._into("events", self._read_hour)
        while True:
            if self.is_current:
                await self._into("processes", self._read_processes)
                await self._into("connections", self._read_connections)
                await self._into("events", self._read_events)
                await self._into("console", self._read_console)
                if self.ready:
                    self.show(self.view)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _into(self, name: str, read: Callable[[], Awaitable[None]]) -> None:
        """``read``, or say in the box why that cannot be."""
        try:
            await read()
        except SandtopError as error:
            self._fill(name, [(("✖ ", "warn"), (neutral(error.message, 400), "muted"))])

    def _fill(self, name: str, lines: Sequence[Words], *, head: Words = (), note: str = "") -> None:
        """Show what was read, if the page is still there: it may have been left meanwhile."""
        if self.ready:
            self._box(name).show(lines, head=head, note=note)

    async def _read_hour(self) -> None:
        self._hour = await gateway.last_hour(self._uuid, _HOUR_STEP)

    async def _read_processes(self) -> None:
        sandbox = self.sandbox
        if sandbox is None or sandbox.info.state != "running":
            self._fill("processes", [_nothing("it does not run")])
            return
        found = await gateway.processes(self._uuid)
        lines = page_lines.process_lines(found.processes)
        self._fill("processes", lines, head=page_lines.PROCESS_HEAD, note=str(found.total))

    async def _read_connections(self) -> None:
        sandbox = self.sandbox
        if sandbox is not None and sandbox.info.network == "filtered":
            found = await gateway.reached(self._uuid)
            lines = page_lines.egress_lines(found, self.console_app.clock())
            refused = sum(each.times for each in found if not each.allowed)
            self._fill(
                "connections",
                lines or [_nothing("it has connected to nothing yet")],
                head=page_lines.EGRESS_HEAD if lines else (),
                note=f"{refused} refused" if refused else "",
            )

    async def _read_events(self) -> None:
        found = await gateway.happened(self._uuid, _EVENTS)
        lines = page_lines.event_lines(found, self.console_app.clock())
        self._fill("events", lines or [_nothing("nothing happened yet")])

    async def _read_console(self) -> None:
        lines = page_lines.console_lines(await gateway.guest_console(self._uuid, _CONSOLE_LINES))
        self._fill("console", lines or [_nothing("nothing was printed since its last start")])

    # which boxes are seen

    def on_resize(self) -> None:
        if self.ready:
            self._arrange()

    def on_descendant_focus(self) -> None:
        self._arrange()

    def _arrange(self) -> None:
        """Show all boxes where there is room, else the one with the focus."""
        width, height = self.size
        together = width >= _WIDE and height >= _HIGH and not self._zoomed
        focused, boxes = self.focused, self._boxes()
        for box in self.query(TextBox):
            box.display = box in boxes and (
                together or box is focused or (focused is None and box.id == "processes")
            )
        for column in ("left", "right"):
            inside = self.query_one(f"#{column}")
            inside.display = any(box.display for box in inside.query(TextBox))
        self.query_one("#boxes").set_class(together, "-together")
        names = [] if together else [str(box.id) for box in boxes]
        self.query_one(UsagePanel).show_tabs(names, str(focused.id) if focused is not None else "")

    def _move(self, step: int) -> None:
        boxes = self._boxes()
        at = next((number for number, box in enumerate(boxes) if box.has_focus), 0)
        self._go_to(boxes[(at + step) % len(boxes)])

    @on(UsagePanel.TabClicked)
    def _tab_clicked(self, event: UsagePanel.TabClicked) -> None:
        self._go_to(self._box(event.name))

    def _go_to(self, box: TextBox) -> None:
        self.query_one(f"#{box.parent.id if box.parent is not None else 'left'}").display = True
        box.display = True
        self.set_focus(box)

    def action_next(self) -> None:
        self._move(1)

    def action_previous(self) -> None:
        self._move(-1)

    def action_zoom(self) -> None:
        self._zoomed = not self._zoomed
        self._arrange()

    # what can be done

    @on(TextBox.Said)
    def _said(self, event: TextBox.Said) -> None:
        self.console_app.say(event.text)

    def action_shell(self) -> None:
        if (sandbox := self.sandbox) is not None:
            self.console_app.nav.open_shell(sandbox)

    def action_raw(self) -> None:
        if (sandbox := self.sandbox) is not None:
            show_raw(self.console_app, sandbox)

    def action_panes(self) -> None:
        self.console_app.nav.show_panes()

    def action_cancel(self) -> None:
        if not self.cancelled():
            self.action_back()

    def action_back(self) -> None:
        app_of(self).pop_screen()


def _nothing(text: str) -> tuple[tuple[str, str], ...]:
    return ((text, "muted"),)
