"""A copy into a sandbox of which some cannot be read here; test_transfer.py has the same on a machine."""

from __future__ import annotations

import io
import tarfile
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from sandtop.core.client.sdk import transfer
from sandtop.core.client.session.events import Stderr
from sandtop.core.errors import NotFound, StorageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sandtop.core.client.sdk.process import Process
    from sandtop.core.client.session.events import Event

pytestmark = pytest.mark.anyio


class Unpacking:
    """A ``tar-extract`` that keeps what it was sent, and complains of ``said``."""

    def __init__(self, said: bytes = b"") -> None:
        self.stdin = self
        self.took = b""
        self.closed = False
        self._said = said

    async def send(self, data: bytes) -> None:
        self.took += data

    async def aclose(self) -> None:
        self.closed = True

    async def __aiter__(self) -> AsyncIterator[Event]:
        assert self.closed, "it would wait for more"
        if self._said:
            yield Stderr(self._said, 0)

    async def wait(self) -> object:
        return SimpleNamespace(exit_code=int(bool(self._said)), message=None)


async def send(process: Unpacking, *paths: Path) -> None:
    archive = await transfer.packer([str(path) for path in paths])
    chunks = transfer.packed(archive)
    await transfer.send_archive(cast("Process", process), chunks, "copying", None, archive.skipped)


async def test_what_cannot_be_read_keeps_nothing_else_from_arriving(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    process = Unpacking()
    with pytest.raises(StorageError, match=r"copying: .*/nosuch: No such file or directory$"):
        await send(process, tmp_path / "nosuch", tmp_path / "a")
    with tarfile.open(fileobj=io.BytesIO(process.took)) as archive:
        assert archive.getnames() == ["a"]


async def test_what_went_wrong_on_either_side_is_said_together(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    with pytest.raises(StorageError, match=r"nosuch: No such.*; /srv/a: No space left$"):
        await send(Unpacking(b"/srv/a: No space left\n"), tmp_path / "nosuch", tmp_path / "a")


async def test_a_single_one_that_is_not_there_sends_nothing(tmp_path: Path) -> None:
    process = Unpacking()
    with pytest.raises(NotFound, match="nosuch"):
        await send(process, tmp_path / "nosuch")
    assert process.took == b""
