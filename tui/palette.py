"""The command palette: every action that works on the screen below it, and every sandbox by name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from sandtop.tui.actions import Action, in_palette, shown_key
from sandtop.tui.screens.base import ConsoleScreen
from sandtop.tui.text import neutral

if TYPE_CHECKING:
    from sandtop.tui.app import Console


class Commands(Provider):
    """What Textual's palette offers."""

    def _actions(self) -> list[Action]:
        screen = self.screen
        found = screen.actions() if isinstance(screen, ConsoleScreen) else []
        unique: dict[str, Action] = {}
        for action in found:
            if in_palette(action):
                unique.setdefault(action.label, action)
        return list(unique.values())

    async def _run(self, action: Action) -> None:
        screen = self.screen
        if isinstance(screen, ConsoleScreen):
            await screen.carry_out(action)

    async def discover(self) -> Hits:
        for action in self._actions():
            yield DiscoveryHit(_line(action), partial(self._run, action), action.label)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for action in self._actions():
            score = max(matcher.match(action.label), matcher.match(action.help) * 0.8)
            if score > 0:
                yield Hit(score, _line(action), partial(self._run, action), action.label)
        console = cast("Console", self.app)
        for sandbox in console.store.view.sandboxes:
            if (score := matcher.match(sandbox.name)) > 0:
                name = neutral(sandbox.name)
                shown = Content.assemble(("go to ", "$text-muted"), name)
                yield Hit(score, shown, partial(console.nav.show_sandbox, sandbox.uuid), f"go to {name}")


def _line(action: Action) -> Content:
    """One line: what it is called, its key, what it does."""
    key = shown_key(action.keys[0]) if action.keys else ""
    cli = f" (sandtop {action.cli})" if action.cli else ""
    return Content.assemble(
        f"{action.label:<17}", (f"{key:<8}", "$text-accent"), (action.help + cli, "$text-muted")
    )
