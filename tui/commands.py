"""Running commands for the operator: in one sandbox with a pane for it, in many with one result."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import SandtopError
from sandtop.tui import gateway
from sandtop.tui.screens.result import ResultScreen
from sandtop.tui.screens.run import Run, RunPrompt
from sandtop.tui.text import neutral, one_line, plural, what_next
from sandtop.tui.together import Together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.tui.store import SandboxView
    from sandtop.tui.together import Member

    from .app import Console
    from .operations import Wait

_HISTORY: Final = 100
"""Commands that are remembered."""
_COMMAND: Final = 40
"""Characters of a command that a notice about it shows."""
_AT_ONCE: Final = 16
"""Sandboxes in which it is started at the same time."""


class RunCommands:
    """What ``x`` does."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: Together | None = None
        self.history: list[str] = []
        """Commands that were run, oldest first."""

    def ask(self, sandboxes: Sequence[SandboxView]) -> None:
        """Ask for a command; run it in each of ``sandboxes``."""
        idle = [sandbox for sandbox in sandboxes if sandbox.info.state != "running"]
        if idle:
            self._console.say_error(
                f"{idle[0].name} is {idle[0].info.state}: {what_next(idle[0].info.state)}"
            )
        sandboxes = [sandbox for sandbox in sandboxes if sandbox.info.state == "running"]
        if not sandboxes:
            return
        where = sandboxes[0].name if len(sandboxes) == 1 else f"{len(sandboxes)} sandboxes"

        def answered(run: Run | None) -> None:
            if run is not None:
                self.history = [*[old for old in self.history if old != run.script], run.script][-_HISTORY:]
                self.run(run, sandboxes)

        prompt = RunPrompt(where, history=self.history, many=len(sandboxes) > 1)
        self._console.push_screen(prompt, answered)

    def run(self, run: Run, sandboxes: Sequence[SandboxView]) -> None:
        """Run it: in one sandbox with a pane for its output, in several with one result for all."""
        console = self._console
        if len(sandboxes) == 1:
            sandbox = sandboxes[0]
            console.operations.await_result(f"running in {sandbox.name}", partial(self._run, sandbox, run))
            return
        self._last = Together(run, sandboxes)
        self.begin(self._last, list(self._last.members.values()))
        self.show_last()

    def show_last(self) -> None:
        """The result of the command that ran in many last."""
        if self._last is None:
            self._console.say("no command has run in several sandboxes: mark some, then x")
        else:
            self._console.push_screen(ResultScreen(self._last))

    async def _run(self, sandbox: SandboxView, run: Run, wait: Wait) -> str | None:
        info = await gateway.run_script(sandbox.uuid, run)
        console = self._console
        if run.tty:
            console.nav.panes.open_terminal(sandbox.uuid, sandbox.name, info, with_input=not wait.over)
        else:
            console.nav.panes.open_log(sandbox.uuid, sandbox.name, info, behind=wait.over)
        if not wait.over:
            console.nav.show_panes()
            return None
        command = one_line(neutral(run.script))
        if len(command) > _COMMAND:
            command = f"{command[: _COMMAND - 1]}…"
        return f"{sandbox.name} › {command} runs in a pane in the background: w goes to the panes"

    # in many

    def begin(self, together: Together, members: Sequence[Member]) -> None:
        """Start it in ``members``, and leave it running there."""
        room = asyncio.Semaphore(_AT_ONCE)

        async def start(member: Member) -> None:
            async with room:
                try:
                    member.session = (await gateway.run_script(member.uuid, together.run)).id
                except SandtopError as error:
                    together.failed_to_run(member, error.message)

        async def work() -> None:
            await asyncio.gather(*[start(member) for member in members])

        self._console.operations.perform(
            f"running in {plural(len(members), 'sandbox')}".replace("xs", "xes"), work
        )

    def read(self, together: Together) -> None:
        """Read what was written where it has ended meanwhile."""
        for member, session in together.ended_in(self._console.store.view):
            self._console.run_worker(
                self._read(together, member, session.id), group="results", exit_on_error=False
            )

    async def _read(self, together: Together, member: Member, key: str) -> None:
        try:
            info, log = await gateway.output_of(member.uuid, key)
        except SandtopError as error:
            together.failed_to_run(member, error.message)
        else:
            if info is None:
                together.failed_to_run(member, "its session is gone")
            else:
                together.took(member, info, log)
        self._console.refresh_view()

    def rerun(self, together: Together) -> None:
        """Run it once more where it failed."""
        failed = together.failed
        if not failed:
            self._console.say("it failed nowhere")
            return
        together.again(failed)
        self.begin(together, failed)

    def stop(self, together: Together) -> None:
        """End it where it still runs: TERM to all that it started."""
        running = [one for one in together.pending if one.session is not None]
        if not running:
            self._console.say("it runs nowhere any more")
            return

        async def work() -> str:
            for member in running:
                if member.session is not None:
                    try:
                        await gateway.signal(member.uuid, member.session, 15)
                    except SandtopError as error:
                        self._console.say_error(f"{member.name}: {error}")
            return f"asked {plural(len(running), 'command')} to end"

        self._console.operations.perform("ending what runs", work)
