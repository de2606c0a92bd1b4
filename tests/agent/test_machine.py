"""What a `configure` does to the files of the sandbox."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandtop.agent.machine import Identity, Machine, name_host, replace
from sandtop.agent.values import InvalidMessage

if TYPE_CHECKING:
    from pathlib import Path


def test_the_host_is_named_once() -> None:
    once = name_host("127.0.0.1\tlocalhost\n10.0.0.1 friend\n", "box")
    assert once.splitlines()[:2] == ["127.0.0.1\tlocalhost", "10.0.0.1 friend"]
    again = name_host(once, "other")
    assert again.splitlines()[:2] == once.splitlines()[:2]
    assert len(again.splitlines()) == 3
    assert again.splitlines()[2].split()[:2] == ["127.0.1.1", "other"]
    assert "localhost" in name_host("", "box")


@pytest.mark.parametrize("make", ["nothing", "file", "fifo", "link"])
def test_a_file_is_replaced_whatever_it_was(tmp_path: Path, make: str) -> None:
    path, elsewhere = tmp_path / "hostname", tmp_path / "elsewhere"
    elsewhere.write_text("untouched")
    if make == "file":
        path.write_text("old")
    elif make == "fifo":
        os.mkfifo(path)
    elif make == "link":
        path.symlink_to(elsewhere)
        os.symlink(elsewhere, f"{path}.sandtop")
    replace(str(path), "new\n")
    assert path.read_text() == "new\n"
    assert not path.is_symlink()
    assert elsewhere.read_text() == "untouched"


def test_what_is_null_changes_nothing(tmp_path: Path) -> None:
    Machine(-1, str(tmp_path)).identify(Identity({"hostname": None, "entropy": ""}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"hostname": ""},
        {"hostname": "-x"},
        {"hostname": "a b"},
        {"hostname": "a\n"},
        {"hostname": "x" * 64},
        {"hostname": "ü"},
        {"machine_id": "../x"},
        {"machine_id": ""},
        {"entropy": "!"},
        {"entropy": "QQ"},
        {"entropy": "QUFB" * 1000},
        {"clock_ns": -1},
        {"clock_ns": "now"},
        {"clock_ns": 1.5},
    ],
)
def test_an_identity_that_makes_no_sense(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidMessage):
        Identity(fields)
