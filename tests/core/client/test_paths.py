"""What can be meant by the paths of a copy, before anything is copied."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandtop.core.cli.cp import cp_main
from sandtop.core.client.sdk.copying import checked
from sandtop.core.errors import InvalidRequest, SandtopError


@pytest.mark.parametrize("path", ["a", " ", ".", "/", "a/.", "..", "-", "ü", "\udcff"])
def test_a_path_is_taken_as_it_is(path: str) -> None:
    assert checked(path) == checked([path]) == checked(Path(path)) or path == "a/."


@pytest.mark.parametrize(
    ("paths", "says"),
    [
        ("", "a path to copy is empty"),
        (["a", ""], "a path to copy is empty"),
        ([], "nothing to copy"),
        ("a\0b", "NUL"),
        (["a/x", "b/x/"], "a/x and b/x/ would both become x"),
    ],
)
def test_what_nobody_means_is_an_error(paths: str | list[str], says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        checked(paths)


def test_what_is_in_two_folders_may_be_put_together() -> None:
    assert checked(["a/.", "b/."]) == ["a/.", "b/."]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["", "box:/x"], "empty"),
        (["a", ""], "empty"),
        (["box:/x", ""], "empty"),
        (["a", ":/x"], "name is missing"),
        ([":/x", "."], "name is missing"),
        (["a", "box:"], "box:: the path is missing"),
        (["a", "b"], "neither a nor b is in a sandbox"),
        (["box:/x", "a", "b"], "neither a nor b is in a sandbox"),
        (["-", "a", "box:/x"], "copied alone"),
        (["box:/x", "other:/y", "-"], "one after the other"),
        (["box:/x", "other:/y/x", "dir"], "would both become x"),
        (["box:/x"], "required: DST"),
        ([], "required: SRC"),
    ],
)
def test_a_command_that_makes_no_sense_copies_nothing(
    line: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_core(*_: object, **__: object) -> None:
        raise AssertionError("it went on to copy")

    monkeypatch.setattr("sandtop.core.cli.cp.anyio.run", no_core)
    with pytest.raises(SandtopError, match=says):
        cp_main(line)
