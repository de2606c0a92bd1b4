"""A template that did not start: it is not used again, whatever becomes of its files."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
import trio

from sandtop.core import paths
from sandtop.core.errors import StorageError
from sandtop.core.guest.store import Shelf
from sandtop.core.machine import MachineSpec
from sandtop.core.machine.registry import driver_for
from sandtop.core.templates import Kind, Shape, Template, Templates
from sandtop.core.templates.files import Loaded

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.paths import Paths


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setenv("SANDTOP_HOME", str(tmp_path / "home"))
    found = paths.find()
    found.cache.mkdir(parents=True)
    return found


def test_one_that_cannot_be_removed_fails_no_start(
    home: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Shelf, _key: str) -> None:
        raise StorageError("removing the template: Read-only file system")

    monkeypatch.setattr(Shelf, "remove", refuse)
    program = tmp_path / "file"
    program.touch()
    spec = MachineSpec(
        uuid=str(uuid.uuid4()), name="box", kernel=program, initramfs=program, image=program, overlay=program
    )
    shape = Shape(Kind.FRESH, "digest", 1 << 20, "1")
    said: list[str] = []

    def read(_self: Templates, _key: str) -> Loaded:
        return Loaded(home.cache, {}, ())

    monkeypatch.setattr(Templates, "_read", read)

    async def fail() -> None:
        async with trio.open_nursery() as nursery:
            templates = Templates(home, driver_for(home), nursery, 1)
            template = await templates.get(shape, spec, said.append)
            assert isinstance(template, Template)
            await templates.failed(template, "it did not answer", said.append)
            assert await templates.get(shape, spec, said.append) is None
            nursery.cancel_scope.cancel()

    trio.run(fail)
    assert said == [
        "warning: a template did not start and is thrown away, booting instead: it did not answer"
    ]
