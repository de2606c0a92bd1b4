"""Saving what a log's pane shows to a file, with its filters."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from sandtop.tui.stream.save import save
from sandtop.tui.text import size
from sandtop.tui.widgets.merged_pane import MergedPane

from .dialogs import Prompt

if TYPE_CHECKING:
    from sandtop.tui.app import Console
    from sandtop.tui.widgets.log_pane import LogPane


def ask_save(console: Console, pane: LogPane) -> None:
    """Ask for a file, and save the log of ``pane`` to it: all of it, or with filters the lines that pass them."""
    filtering = pane.view.lines.filtering

    def answered(name: str | None) -> None:
        if name is None:
            return
        path = Path(name).expanduser()

        async def work() -> str:
            return f"{size(await _save(console, pane, path))} saved to {path}"

        console.operations.perform(f"saving {path.name}", work)

    what = "the lines that pass the filters" if filtering else "all of its output"
    if isinstance(pane, MergedPane):
        what = "the lines that this pane has" + (" and that pass the filters" if filtering else "")
    ending = pane.info.id[:8] if pane.info is not None else "and-others"
    console.push_screen(
        Prompt(f"Save {what} to", "a file", value=f"{pane.sandbox}-{ending}.log", verb="save"), answered
    )


async def _save(console: Console, pane: LogPane, path: Path) -> int:
    if isinstance(pane, MergedPane):
        text = pane.text_kept.encode()
        await asyncio.to_thread(_write_new, path, text)
        return len(text)
    assert pane.info is not None
    lines = pane.view.lines
    passes = lines.passes_raw if lines.filtering else None
    return await save(pane.uuid, pane.info.id, path, console.priority, passes)


def _write_new(path: Path, text: bytes) -> None:
    with path.open("xb") as file:
        file.write(text)
