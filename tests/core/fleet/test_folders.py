"""Folders of the host: what cannot be mounted is said before anything is made, and one that is lost is said, too."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sandtop.core.errors import InvalidRequest, NotFound
from sandtop.core.store import MountRow

from .lab import CONFIG

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import RunCase
    from .lab import Lab


def test_a_folder_that_cannot_be_mounted_is_named(run: RunCase, tmp_path: Path) -> None:
    file, missing = tmp_path / "file", tmp_path / "missing"
    file.touch()

    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            for source, error, words in (
                (missing, NotFound, f"there is no folder {missing}"),
                (file, InvalidRequest, f"{file} is no folder"),
                (tmp_path, InvalidRequest, "machines of memory cannot have folders"),
            ):
                with pytest.raises(error, match=words) as refused:
                    await core.create(config=replace(CONFIG, mounts=(MountRow("bind", "/w", str(source)),)))
                assert refused.value.sandbox == "box"
                assert core.fleet.all() == [], "nothing of it is left"

    run(case)


def test_there_is_room_for_eight(run: RunCase, tmp_path: Path) -> None:
    mounts = tuple(MountRow("bind", f"/w{number}", str(tmp_path)) for number in range(9))

    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            with pytest.raises(InvalidRequest, match="9 folders of the host are too many"):
                await core.create(config=replace(CONFIG, mounts=mounts))

    run(case)


def test_one_that_is_lost_is_trouble_until_the_next_start(run: RunCase) -> None:
    """The word of the agent is taken for what was mounted, whatever else it says."""

    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create()
            box.record.row = replace(
                box.row, config=replace(box.row.config, mounts=(MountRow("bind", "/w", "/x"),))
            )
            listener = box.sessions.listener
            hello: dict[str, object] = {"type": "hello", "sessions": [], "left": {}}
            assert listener.message({"type": "unmounted", "target": "/etc"})

            def trouble() -> str | None:
                return box.trouble

            assert trouble() is None
            for number in range(1000):
                listener.message({"type": "unmounted", "target": f"/{number}" * 5000})
            assert len(listener.unmounted) <= 16
            listener.link_up({**hello, "folders": [{"target": "/w", "mounted": False}, 7, None]})
            assert trouble() == "/w is not mounted any more: restart it"
            listener.link_up({**hello, "folders": [{"target": "/w", "mounted": True}]})
            assert trouble() is None

    run(case)
