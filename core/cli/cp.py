"""``sandtop cp``: files into a sandbox and out of it. Not a command that has to start fast: it uses the SDK."""

from __future__ import annotations

import os
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from sandtop.core.client.sandbox import Sandbox
from sandtop.core.errors import InvalidRequest
from sandtop.core.tar.reader import CHUNK

from ._args import Parser
from ._output import STDOUT, Progress, size, write

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

_EXAMPLES: Final = """\
  sandtop cp data.csv demo:/tmp/
  sandtop cp demo:/var/log/. ./logs
  sandtop cp demo:/etc - | tar t
  tar c src | sandtop cp - demo:/work"""
_PROGRESS_SECONDS: Final = 0.2


def cp_main(argv: Sequence[str]) -> int:
    """Copy a file or a tree; ``-`` is a tar stream on stdin or stdout."""
    parser = Parser(
        "cp", "[OPTIONS] SRC NAME:DST | NAME:SRC DST", "Copy files into a sandbox and out of it.", _EXAMPLES
    )
    parser.add_argument("source", metavar="SRC", help="PATH, NAME:PATH, or - for a tar stream")
    parser.add_argument("target", metavar="DST", help="PATH, NAME:PATH, or - for a tar stream")
    parser.add_argument("-u", "--user", metavar="USER", help="who reads or writes in the sandbox")
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    options = parser.parse_args(list(argv))
    source, target = _place(options.source), _place(options.target)
    if (source[0] is None) == (target[0] is None):
        raise InvalidRequest(
            "one of SRC and DST must be in a sandbox, as NAME:PATH",
            hint="such as: sandtop cp data.csv demo:/tmp/",
        )
    with Progress() as progress:
        tell = _teller(progress) if not options.quiet else None
        if target[0] is not None:
            anyio.run(_into, source[1], target[0], target[1], options.user, tell)
        else:
            assert source[0] is not None
            anyio.run(_out_of, source[0], source[1], target[1], options.user, tell)
    return 0


def _place(text: str) -> tuple[str | None, str]:
    """``(sandbox, path)``; a path with ``/`` before its first colon is this host's, as for docker and scp."""
    name, separator, path = text.partition(":")
    if not separator or "/" in name or not name:
        return None, text
    if not path:
        raise InvalidRequest(f"{text}: the path is missing", hint=f"such as {name}:/tmp")
    return name, path


def _teller(progress: Progress) -> Callable[[int], None]:
    shown = 0.0

    def tell(count: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown >= _PROGRESS_SECONDS:
            shown = now
            progress(f"{size(count)} copied")

    return tell


async def _into(
    source: str, name: str, target: str, user: str | None, tell: Callable[[int], None] | None
) -> None:
    sandbox = await Sandbox.get(name)
    if source == "-":
        async with aclosing(_stdin()) as chunks:
            await sandbox.upload_tar(chunks, target, user=user, progress=tell)
    else:
        await sandbox.upload(source, target, user=user, progress=tell)


async def _stdin() -> AsyncGenerator[bytes, None]:
    while data := await anyio.to_thread.run_sync(os.read, 0, CHUNK, abandon_on_cancel=True):
        yield data


async def _out_of(
    name: str, source: str, target: str, user: str | None, tell: Callable[[int], None] | None
) -> None:
    sandbox = await Sandbox.get(name)
    if target != "-":
        await sandbox.download(source, target, user=user, progress=tell)
        return
    if os.isatty(STDOUT):
        raise InvalidRequest("a tar stream does not go to a terminal", hint="redirect it, or give a path")

    async def pass_on(data: bytes) -> None:
        await anyio.to_thread.run_sync(write, data)

    await sandbox.download_tar(source, pass_on, user=user)
