"""What the operator asked of the core: carried out, its progress and outcome said, and waited for or not."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from sandtop.core.errors import SandtopError
from sandtop.tui import gateway
from sandtop.tui.text import neutral, plural

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from textual.events import Event

    from sandtop.tui.notices import Notice
    from sandtop.tui.screens.changes import Change
    from sandtop.tui.store import SandboxView, SessionView

    from .app import Console

Seen = tuple["SandboxView", list[str], bool]
"""What is acknowledged: of a sandbox these sessions, and whether the failure of the sandbox itself is."""
LATE_SECONDS: Final = 10.0
"""After so long the operator is taken to look elsewhere: what comes then changes neither the screen nor the focus."""
_AT_ONCE: Final = 8
"""Operations that run at the same time; more of them wait for their turn."""
_HISTORY: Final = 100
"""Acknowledgements that can be taken back."""


@dataclass(eq=False)
class Wait:
    """An operation whose outcome the operator waits to see.

    The wait ends when the operator does something else or presses escape, or when it takes long. The operation goes on.

    Attributes:
        notice: what says that it is under way.
        left: the operator has done something else, or pressed escape.
        begun: when the wait began, by `time.monotonic`.
    """

    notice: Notice
    left: bool = False
    begun: float = field(default_factory=time.monotonic)

    @property
    def over(self) -> bool:
        """Nobody waits any more: the outcome is said, and takes neither the screen nor the focus."""
        return self.left or time.monotonic() - self.begun > LATE_SECONDS

    def leave(self) -> None:
        """The operator waits no more."""
        self.left, self.notice.hint = True, ""


class Operations:
    """Runs what was asked of the core, as workers of ``console``."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._waits: list[Wait] = []
        self._acknowledged: list[list[Seen]] = []

    # carrying out

    def perform(
        self,
        doing: str,
        work: Callable[[], Awaitable[str | None]],
        *,
        sandbox: SandboxView | None = None,
        notice: Notice | None = None,
    ) -> None:
        """Run ``work`` in the background.

        Until it ends a notice says ``doing``; then another says what it returned (None: nothing), or how it failed.
        ``sandbox`` is shown as busy meanwhile, with the first word of ``doing``. ``notice`` is the first notice.
        """
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
        """Run ``work`` while the operator waits for it. It shows its outcome unless its `Wait` is over."""
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
        """A key, a paste or a click came. Any but escape, which has a meaning of its own, ends all waits."""
        if getattr(event, "key", "") != "escape":
            for wait in self._waits:
                wait.leave()

    def leave_wait(self) -> bool:
        """Escape: end all waits; False when there were none."""
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
        """Make the sandboxes of the form; put the cursor on the first if the operator has done nothing meanwhile."""
        names = cast("list[str]", fields["names"])
        others = {key: value for key, value in fields.items() if key != "names"}
        for number, name in enumerate(names):
            self._create({**others, "name": name}, first=number == 0)

    def _create(self, fields: dict[str, object], *, first: bool) -> None:
        console, name = self._console, str(fields["name"])

        async def work(wait: Wait) -> str:
            def progress(line: str) -> None:
                wait.notice.text = f"creating {name}: {neutral(line)}"
                console.tick()

            made = await gateway.create(fields, progress)
            console.polling.ask_now()
            if first and not wait.left:  # also when it took long: the cursor disturbs nobody who only watches
                console.nav.fleet.wanted = made.uuid
            return f"{name} is running: a opens a shell in it, x runs a command"

        self.await_result(f"creating {name}", work)

    def acknowledge(
        self, sandboxes: Sequence[SandboxView], sessions: Sequence[SessionView] | None = None
    ) -> None:
        """Acknowledge the failures of ``sessions``; without them all failures of ``sandboxes``, their machines' too."""
        found: list[Seen] = []
        for sandbox in sandboxes:
            seen = [s.id for s in (sandbox.sessions if sessions is None else sessions) if s.needs_someone]
            machine = sessions is None and sandbox.asks_itself
            if seen or machine:
                found.append((sandbox, seen, machine))
        self.acknowledge_these(found)

    def acknowledge_these(self, found: list[Seen]) -> None:
        """Acknowledge what is ``found``; say so when that is nothing."""
        if not found:
            self._console.say("nothing to acknowledge here")
            return
        self._acknowledged = [*self._acknowledged, found][-_HISTORY:]
        what = found[0][0].name if len(found) == 1 else f"{len(found)} sandboxes"
        self.perform(f"acknowledging {what}", partial(self._acknowledge, found, what))

    def unacknowledge(self, found: Sequence[Seen] | None = None) -> None:
        """Let what was acknowledged ask for somebody again: ``found``, else what this console acknowledged last."""
        if found is None:
            if not self._acknowledged:
                self._console.say(
                    "nothing was acknowledged here: F lists all failures, and u there takes one back"
                )
                return
            found = self._acknowledged.pop()
        self._console.nav.ask_again(
            key for sandbox, sessions, machine in found for key in [*sessions, *([sandbox.uuid] * machine)]
        )
        what = found[0][0].name if len(found) == 1 else f"{len(found)} sandboxes"
        self.perform(f"asking again for {what}", partial(self._acknowledge, found, what, undo=True))

    async def _acknowledge(self, found: Sequence[Seen], what: str, *, undo: bool = False) -> str:
        count = 0
        for sandbox, sessions, machine in found:
            try:
                await gateway.acknowledge(sandbox.uuid, sessions, machine=machine, undo=undo)
            except SandtopError as error:
                self._console.say_error(f"acknowledging {sandbox.name}: {error}")
            else:
                count += len(sessions) + machine
        if not count:
            return ""
        if undo:
            return f"{plural(count, 'failure')} of {what} asks for somebody again"
        kept = "it" if count == 1 else "them"
        return f"{plural(count, 'failure')} of {what} acknowledged; u takes it back, the history keeps {kept}"
