"""``sandtop cp``: copies files into and out of sandboxes. It uses the SDK, since it need not start fast."""

from __future__ import annotations

import os
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from sandtop.core.client.sdk import Sandbox, checked
from sandtop.core.errors import InvalidRequest, SandtopError
from sandtop.core.tar.reader import CHUNK

from ._args import Parser
from ._output import STDOUT, Progress, complain, size, write

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

_EXAMPLES: Final = """\
  sandtop cp data.csv demo:/tmp/
  sandtop cp *.csv notes.txt demo:/srv/
  sandtop cp demo:/var/log/. ./logs
  sandtop cp demo:/srv/data other:/srv/
  sandtop cp demo:/etc - | tar t
  tar c src | sandtop cp - demo:/work"""
_PROGRESS_SECONDS: Final = 0.2

_Place = tuple[str | None, str]
"""A sandbox, or None for this host, and a path."""


def cp_main(argv: Sequence[str]) -> int:
    """Copy files and trees; ``-`` is a tar stream on stdin or stdout."""
    parser = Parser(
        "cp",
        "[OPTIONS] SRC… DST",
        "Copy files into a sandbox, out of it, or from one to another. Several go into a folder.",
        _EXAMPLES,
    )
    parser.add_argument("sources", metavar="SRC", nargs="+", help="PATH, NAME:PATH, or - for a tar stream")
    parser.add_argument("target", metavar="DST", help="PATH, NAME:PATH, or - for a tar stream")
    parser.add_argument("-u", "--user", metavar="USER", help="who reads or writes in the sandbox")
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    options = parser.parse_args(list(argv))
    sources, target = [_place(source) for source in options.sources], _place(options.target)
    _check(sources, target)
    with Progress() as progress:
        tell = _teller(progress) if not options.quiet else None
        return anyio.run(_copy, sources, target, options.user, tell)


def _place(text: str) -> _Place:
    """``NAME:PATH`` is in a sandbox. With ``/`` before its first colon it is on this host, as for docker and scp."""
    if not text:
        raise InvalidRequest(
            "a path to copy is empty", hint="is a variable not set? '.' is the folder itself"
        )
    name, separator, path = text.partition(":")
    if not separator or "/" in name:
        return None, text
    if not name:
        raise InvalidRequest(
            f"{text}: the sandbox's name is missing", hint=f"a file of that name is ./{text}"
        )
    if not path:
        raise InvalidRequest(f"{text}: the path is missing", hint=f"such as {name}:/tmp")
    return name, path


def _check(sources: Sequence[_Place], target: _Place) -> None:
    """Raises `InvalidRequest` for combinations that make no sense, before anything is copied."""
    here = [path for name, path in sources if name is None]
    if here and target[0] is None:
        raise InvalidRequest(
            f"neither {here[0]} nor {target[1]} is in a sandbox: that is written NAME:PATH",
            hint="such as: sandtop cp data.csv demo:/tmp/",
        )
    if "-" in here and len(sources) > 1:
        raise InvalidRequest(
            "a tar stream on stdin is copied alone", hint="copy the others by another command"
        )
    if target == (None, "-") and len({name for name, _ in sources}) > 1:
        raise InvalidRequest("a tar stream on stdout is of one sandbox", hint="copy from one after the other")
    checked([path for _, path in sources])


async def _copy(
    sources: Sequence[_Place], target: _Place, user: str | None, tell: Callable[[int], None] | None
) -> int:
    """Copy the sources of each place together, place after place. When one fails, the others are still copied."""
    places: dict[str | None, list[str]] = {}
    for name, path in sources:
        places.setdefault(name, []).append(path)
    failures: list[SandtopError] = []
    for name, paths in places.items():
        source = paths[0] if len(sources) == 1 else paths
        try:
            await _copy_from(name, source, target, user, tell)
        except SandtopError as error:
            failures.append(error)
    if not failures:
        return 0
    for failure in failures[:-1]:
        complain(failure)
    raise failures[-1]


async def _copy_from(
    name: str | None,
    source: str | list[str],
    target: _Place,
    user: str | None,
    tell: Callable[[int], None] | None,
) -> None:
    place, path = target
    if name is None:
        assert place is not None
        await _into(source, place, path, user, tell)
    elif place is None:
        await _out_of(name, source, path, user, tell)
    else:
        origin = await Sandbox.get(name)
        await origin.copy(source, await Sandbox.get(place), path, user=user, progress=tell)


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
    source: str | list[str], name: str, target: str, user: str | None, tell: Callable[[int], None] | None
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
    name: str, source: str | list[str], target: str, user: str | None, tell: Callable[[int], None] | None
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
