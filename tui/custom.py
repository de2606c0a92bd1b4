"""Commands of the user's own, at work: their actions, and running them on one row or on the marked ones."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from sandtop.tui.actions import Action
from sandtop.tui.config import WHERE, CustomCommand, filled
from sandtop.tui.screens.dialogs import Confirm
from sandtop.tui.screens.pages import text_page
from sandtop.tui.screens.run import Run
from sandtop.tui.text import neutral, plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandtop.tui.actions import ScopeName
    from sandtop.tui.store import SandboxView

    from .app import Console

    Chosen = tuple[SandboxView, Mapping[str, str]]
    """A row's sandbox, and its values."""

SECONDS: Final = 60.0
"""How long a program of this host may take."""
_AT_ONCE: Final = 8
_MOST_BYTES: Final = 64 << 10
"""Bytes that are kept of what such a program writes."""


class CustomCommands:
    """Runs the operator's own commands: those that the settings of ``console`` have at the time."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @property
    def _commands(self) -> Sequence[CustomCommand]:
        return self._console.personal.config.commands

    def actions(self, scopes: Sequence[ScopeName]) -> list[Action]:
        """Their actions that work in ``scopes``."""
        return [
            Action(
                WHERE[command.where],
                f"custom_{number}",
                (command.key,) if command.key else (),
                command.name,
                neutral(command.shown, 80),
                handler=f"custom({number})",
            )
            for number, command in enumerate(self._commands)
            if WHERE[command.where] in scopes
        ]

    def of_key(self, key: str, character: str | None, scopes: Sequence[ScopeName]) -> int | None:
        """The number of the command that a key is for."""
        for number, command in enumerate(self._commands):
            if command.key and command.key in (key, character) and WHERE[command.where] in scopes:
                return number
        return None

    def run(self, number: int, targets: Sequence[Chosen]) -> None:
        """Run it on each of ``targets``, after its question if it has one."""
        command = self._commands[number]
        if not targets:
            return
        if not command.question:
            self._begin(command, targets)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._begin(command, targets)

        question = filled(command.question, targets[0][1])
        lines = [self._line(command, values) for _, values in targets]
        self._console.push_screen(Confirm(question, lines, "Run"), answered)

    def _line(self, command: CustomCommand, values: Mapping[str, str]) -> str:
        if command.script:
            return f"{values['name']}: {_script(command, values)}"
        return shlex.join(_words(command, values))

    def _begin(self, command: CustomCommand, targets: Sequence[Chosen]) -> None:
        if command.script and len({_script(command, values) for _, values in targets}) == 1:
            self._console.commands.run(Run(_script(command, targets[0][1])), [box for box, _ in targets])
        elif command.script:
            for sandbox, values in targets:
                self._console.commands.run(Run(_script(command, values)), [sandbox])
        else:
            what = f"{command.name} on {plural(len(targets), 'row')}" if len(targets) > 1 else command.name
            self._console.operations.perform(what, partial(self._on_host, command, targets))

    async def _on_host(self, command: CustomCommand, targets: Sequence[Chosen]) -> str:
        """Run the program once for each row; what it wrote is a page."""
        room = asyncio.Semaphore(_AT_ONCE)

        async def one(words: list[str]) -> tuple[int, str]:
            async with room:
                return await run_program(words)

        lines = [_words(command, values) for _, values in targets]
        results = await asyncio.gather(*[one(words) for words in lines])
        pages: list[str] = []
        for words, (status, text) in zip(lines, results, strict=True):
            ending = "" if status == 0 else f"(exit {status})\n"
            if text or ending:
                pages.append(f"$ {shlex.join(words)}\n{text}{ending}")
        if pages:
            self._console.push_screen(text_page(command.name, "\n".join(pages)))
        if failed := sum(status != 0 for status, _ in results):
            self._console.say_error(f"{command.name} failed on {failed} of {len(targets)}")
            return ""
        return f"{command.name}: done"


def _words(command: CustomCommand, values: Mapping[str, str]) -> list[str]:
    return [filled(word, values) for word in command.run]


def _script(command: CustomCommand, values: Mapping[str, str]) -> str:
    return filled(command.script, {name: shlex.quote(text) for name, text in values.items()})


async def run_program(words: Sequence[str]) -> tuple[int, str]:
    """Run a program of this host without input: its exit status, and the beginning of what it wrote.

    It has `SECONDS`, and is killed then with all that it started: status 124. Raises OSError when it is not there.
    """
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    kept = bytearray()
    try:
        async with asyncio.timeout(SECONDS):
            while data := await process.stdout.read(_MOST_BYTES):
                kept += data[: _MOST_BYTES - len(kept)]
            status = await process.wait()
    except TimeoutError:
        status = 124
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    return status if status >= 0 else 128 - status, kept.decode(errors="replace")
