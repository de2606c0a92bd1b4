"""A copy out of a sandbox that does not go well: cancelled while the archive comes or does not, or bytes of it lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import anyio
import pytest

from sandtop.core.client.sdk import transfer
from sandtop.core.client.session.events import Gap, Stdout
from sandtop.core.errors import StorageError

from ..tar.making import END, file, folder, pax

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from sandtop.core.client.sdk.process import Process
    from sandtop.core.client.session.events import Event

pytestmark = pytest.mark.anyio


async def receive(events: AsyncIterator[Event], target: Path, name: str = "x") -> None:
    """As a download does of a process that tells ``events``."""
    await transfer.receive_archive(cast("Process", events), [name], str(target), "copying", None)


def endless_names() -> Iterator[bytes]:
    while True:
        yield file(b"y") * 200


def endless_folders() -> Iterator[bytes]:
    while True:
        yield folder(b"x") * 200


def endless_content() -> Iterator[bytes]:
    yield pax((b"size", b"9" * 18)) + file(b"x", b"")
    while True:
        yield bytes(1 << 16)


def silence() -> Iterator[bytes]:
    yield file(b"x", bytes(5000))[:1000]


@pytest.mark.parametrize("source", [endless_names, endless_folders, endless_content, silence])
async def test_a_cancelled_copy_ends(source: Callable[[], Iterator[bytes]], tmp_path: Path) -> None:
    """The thread that unpacks too, whatever the sandbox sends: a key that interrupts has to be believed."""
    with anyio.CancelScope() as scope:

        async def events() -> AsyncIterator[Event]:
            for count, data in enumerate(source()):
                yield Stdout(data, 0)
                await anyio.lowlevel.checkpoint()
                if count == 5:
                    scope.cancel()
            scope.cancel()
            await anyio.sleep_forever()

        await receive(events(), tmp_path)
    assert scope.cancelled_caught
    assert not (tmp_path / "x").is_file(), "half of a file is not kept"


async def test_an_archive_that_lost_bytes_is_an_error(tmp_path: Path) -> None:
    async def events() -> AsyncIterator[Event]:
        yield Stdout(folder(b"x") + file(b"x/f"), 0)
        yield Gap(1024, "stdout")
        yield Stdout(file(b"x/g") + END, 2560)

    with pytest.raises(StorageError, match="copying: 1024 bytes of the archive are lost"):
        await receive(events(), tmp_path)
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["f"]
