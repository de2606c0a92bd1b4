"""What the console has the core do: how it goes, how it came out, and whether somebody still waits for it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import SandtopError
from sandtop.tui import gateway
from sandtop.tui.screens.dialogs import Prompt
from sandtop.tui.text import neutral, one_line, plural, what_next

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from textual.events import Event

    from sandtop.tui.app import Console
    from sandtop.tui.notices import Notice
    from sandtop.tui.screens.changes import Change
    from sandtop.tui.store import SandboxView, SessionView

PANES_AT_ONCE: Final = 8
"""Panes that one key opens; more have no room to read in."""
LATE_SECONDS: Final = 10.0
"""After so long somebody looks elsewhere: what comes then takes neither the view nor the keyboard."""
_AT_ONCE: Final = 8
"""Operations that are under way at the same time; more of them wait."""
_HISTORY: Final = 100
_COMMAND: Final = 40
"""Characters of a command that a line about it repeats."""


@dataclass(eq=False)
class Wait:
    """Somebody waits for what they asked for, until they do something else, or escape, or it takes long."""

    notice: Notice
    left: bool = False
    begun: float = field(default_factory=time.monotonic)

    @property
    def over(self) -> bool:
        """What comes now comes late."""
        return self.left or time.monotonic() - self.begun > LATE_SECONDS

    def leave(self) -> None:
        """Nobody waits any more: it goes on in the background."""
        self.left, self.notice.hint = True, ""


class Operations:
    """All that is under way for ``console``."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._waits: list[Wait] = []
        self.commands: list[str] = []
        """Commands that were run, oldest first."""

    # carrying out

    def perform(
        self,
        doing: str,
        work: Callable[[], Awaitable[str | None]],
        *,
        sandbox: SandboxView | None = None,
        notice: Notice | None = None,
    ) -> None:
        """Carry out ``work``, say so meanwhile (in ``notice``), and say what it returns or how it failed."""
        notice = notice or self._progress(doing)
        self._console.run_worker(
            self._perform(doing, work, sandbox, notice), group="operations", exit_on_error=False
        )

    async def _perform(
        self,
        doing: str,
        work: Callable[[], Awaitable[str | None]],
        sandbox: SandboxView | None,
        notice: Notice,
    ) -> None:
        console = self._console
        if sandbox is not None:
            console.store.pending[sandbox.uuid] = doing.split(" ")[0]
        console.refresh_view()
        try:
            async with self._room:
                done = await work()
        except SandtopError as error:
            console.notices.error(f"{doing}: {error}", console.clock())
        except OSError as error:
            console.notices.error(f"{doing}: {error.strerror or error}", console.clock())
        else:
            if done:
                console.notices.done(done, console.clock())
        finally:
            console.notices.settle(notice)
            if sandbox is not None:
                console.store.pending.pop(sandbox.uuid, None)
            console.refresh_view()
            console.polling.ask_now()

    def _progress(self, doing: str) -> Notice:
        return self._console.notices.progress(doing, self._console.clock())

    # waiting

    def await_result(self, doing: str, work: Callable[[Wait], Awaitable[str | None]]) -> None:
        """Carry out ``work``, which shows what comes where somebody looks, unless its `Wait` is over by then."""
        wait = Wait(self._progress(doing))
        wait.notice.hint = "esc: do not wait"
        self._waits.append(wait)

        async def waited() -> str | None:
            try:
                return await work(wait)
            finally:
                self._waits.remove(wait)

        self.perform(doing, waited, notice=wait.notice)

    def did_something_else(self, event: Event) -> None:
        """A key other than escape, a paste or a click: whoever waited does not any more."""
        if getattr(event, "key", "") != "escape":
            for wait in self._waits:
                wait.leave()

    def leave_wait(self) -> bool:
        """Escape: wait no more; False when nobody did."""
        waiting = [wait for wait in self._waits if not wait.left]
        for wait in waiting:
            wait.leave()
        return bool(waiting)

    # sandboxes

    def change(self, sandbox: SandboxView, change: Change) -> None:
        """Do ``change`` to a sandbox."""

        async def work() -> str:
            if change.verb == "remove":
                await gateway.remove(sandbox.uuid)
            else:
                await gateway.change(sandbox.uuid, change.verb)
            return f"{sandbox.name} {change.done}"

        self.perform(f"{change.doing} {sandbox.name}", work, sandbox=sandbox)

    def create(self, fields: dict[str, object]) -> None:
        """Make a sandbox, and put the cursor on it if nobody has done anything meanwhile."""
        console, name = self._console, str(fields["name"])

        async def work(wait: Wait) -> str:
            def progress(line: str) -> None:
                wait.notice.text = f"creating {name}: {neutral(line)}"
                console.tick()

            made = await gateway.create(fields, progress)
            console.polling.ask_now()
            if not wait.left:  # it takes long, and whoever only looks on is glad to have the cursor there
                console.nav.fleet.wanted = made.uuid
            return f"{name} is running: a opens a shell in it, x runs a command"

        self.await_result(f"creating {name}", work)

    def acknowledge(
        self, sandboxes: Sequence[SandboxView], sessions: Sequence[SessionView] | None = None
    ) -> None:
        """Somebody has seen these failures; without ``sessions`` all that show in ``sandboxes``."""
        found: list[tuple[SandboxView, list[str], bool]] = []
        for sandbox in sandboxes:
            seen = [s.id for s in (sandbox.sessions if sessions is None else sessions) if s.needs_someone]
            machine = sessions is None and sandbox.has_failed
            if seen or machine:
                found.append((sandbox, seen, machine))
        if not found:
            self._console.say("nothing to acknowledge here")
            return
        what = found[0][0].name if len(found) == 1 else f"{len(found)} sandboxes"
        self.perform(f"acknowledging {what}", partial(self._acknowledge, found, what))

    async def _acknowledge(self, found: Sequence[tuple[SandboxView, list[str], bool]], what: str) -> str:
        count = 0
        for sandbox, sessions, machine in found:
            try:
                await gateway.acknowledge(sandbox.uuid, sessions, machine=machine)
            except SandtopError as error:
                self._console.say_error(f"acknowledging {sandbox.name}: {error}")
            else:
                count += len(sessions) + machine
        if not count:
            return ""
        kept = "it" if count == 1 else "them"
        return f"{plural(count, 'failure')} of {what} acknowledged; the history keeps {kept}"

    # commands

    def ask_command(self, sandboxes: Sequence[SandboxView]) -> None:
        """Ask for a command, run it in each, and tail it."""
        idle = [sandbox for sandbox in sandboxes if sandbox.info.state != "running"]
        if idle:
            self._console.say_error(
                f"{idle[0].name} is {idle[0].info.state}: {what_next(idle[0].info.state)}"
            )
        sandboxes = [sandbox for sandbox in sandboxes if sandbox.info.state == "running"]
        if not sandboxes:
            return
        where = sandboxes[0].name if len(sandboxes) == 1 else f"{len(sandboxes)} sandboxes"

        def answered(script: str | None) -> None:
            if script is not None:
                self.commands = [*[old for old in self.commands if old != script], script][-_HISTORY:]
                for number, sandbox in enumerate(sandboxes):
                    run = partial(self._run, sandbox, script, shown=number < PANES_AT_ONCE)
                    self.await_result(f"running in {sandbox.name}", run)
                if (left := len(sandboxes) - PANES_AT_ONCE) > 0:
                    self._console.say(f"{left} more run it without a pane: enter on a session opens one")

        prompt = Prompt(f"Run in {where}", "a command for its shell", history=self.commands)
        self._console.push_screen(prompt, answered)

    async def _run(self, sandbox: SandboxView, script: str, wait: Wait, *, shown: bool) -> str | None:
        info = await gateway.run_script(sandbox.uuid, script)
        if not shown:
            return None
        console = self._console
        console.nav.panes.open_log(sandbox.uuid, sandbox.name, info, behind=wait.over)
        if not wait.over:
            console.nav.show_panes()
            return None
        command = one_line(neutral(script))
        if len(command) > _COMMAND:
            command = f"{command[: _COMMAND - 1]}…"
        return f"{sandbox.name} › {command} runs in a pane in the background: w goes to the panes"
