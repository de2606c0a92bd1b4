"""What hostile clients put into requests: every operation that there is, and odd values for every field."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final, cast

import trio

from sandtop.core.daemon import server
from sandtop.core.daemon.server import Server

if TYPE_CHECKING:
    from sandtop.core.fleet import Fleet
    from sandtop.core.guest import GuestStore
    from sandtop.core.paths import Paths


def _operations() -> tuple[str, ...]:
    """Those in the server's own tables: none can be forgotten here."""

    async def ask() -> frozenset[str]:
        async with trio.open_nursery() as nursery:
            fleet = SimpleNamespace(
                first_request=None
            )  # a server that nobody asks anything looks at no more of it
            return Server(
                cast("Paths", None), cast("Fleet", fleet), cast("GuestStore", None), nursery
            ).operations

    return tuple(sorted(trio.run(ask)))


OPS: Final = (*_operations(), "nonsense")
FIELDS: Final = tuple(
    sorted(
        {
            name
            for path in Path(server.__file__).parent.glob("*.py")
            for name in re.findall(r'(?:request|message)\.get\("(\w+)"|\(request, "(\w+)"', path.read_text())
            for name in name
            if name and name != "op"
        }
        | {"rows", "columns", "image", "cpus", "memory", "disk", "network", "workdir", "shell", "ephemeral"}
        | {"accelerator", "stdout", "stderr"}
    )
)
"""The fields that the core looks at."""
_EMPTY: Final[tuple[list[object], list[object], dict[str, object]]] = ([], [[]], {})
VALUES: Final[tuple[object, ...]] = (
    None, True, False, 0, 1, -1, 1.5, 24, 1 << 31, 1 << 70, float("nan"), float("inf"), "", "x", "\0", "../..",
    "\udcff", [1], *_EMPTY, {"a": 1}, {"A": "b"}, {"rows": 5, "columns": 5}, "a" * 16, "box", "/", "f" * 100_000,
)  # fmt: skip
