"""What is read of the core to be shown as it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sandtop.tui import gateway

from .pages import text_page

if TYPE_CHECKING:
    from sandtop.tui.app import Console
    from sandtop.tui.operations import Wait
    from sandtop.tui.store import SandboxView


def show_raw(console: Console, sandbox: SandboxView) -> None:
    """All that the core knows of ``sandbox``, as JSON, on a page."""

    async def read(wait: Wait) -> str | None:
        raw = await gateway.inspect(sandbox.uuid)
        if wait.over:
            return f"{sandbox.name} was read late: J shows it"
        console.push_screen(text_page(sandbox.name, json.dumps(raw, indent=2, ensure_ascii=False)))
        return None

    console.operations.await_result(f"reading {sandbox.name}", read)
