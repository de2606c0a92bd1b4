"""Programs that are missing, fail, hang or run out of space: each is one error that says what to do."""

from __future__ import annotations

import os

import pytest

from sandtop.core.errors import ImageError, MissingDependency, StorageError
from sandtop.core.guest.tools import pipe, run


def test_output_comes_back() -> None:
    assert run(["sh", "-c", "echo out; echo err >&2"], "trying", timeout=10) == "out\n"


@pytest.mark.parametrize("program", ["mksquashfs", "mmdebstrap"])
def test_a_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingDependency) as caught:
        run([program], "trying", timeout=10)
    package = {"mksquashfs": "squashfs-tools"}.get(program, program)
    sudo = "" if os.geteuid() == 0 else "sudo "
    command = f"{sudo}apt-get update && {sudo}apt-get install --no-install-recommends {package}"
    assert str(caught.value) == f"{program} is not installed (run: {command})"


def test_a_program_that_no_package_brings_is_no_package() -> None:
    with pytest.raises(ImageError, match=r"^/nowhere/ld-linux\.so is not there$") as caught:
        run(["/nowhere/ld-linux.so", "python"], "trying", timeout=10)
    assert caught.value.hint is None


@pytest.mark.parametrize(
    ("script", "kind", "said", "hint"),
    [
        ("echo first >&2; echo last >&2; exit 3", ImageError, "trying: sh: first / last", None),
        ("exit 3", ImageError, "trying: sh: exit status 3", None),
        (
            "echo 'write: No space left on device' >&2; exit 1",
            StorageError,
            "No space left",
            "free some space",
        ),
        ("echo 'E: Unable to locate package x' >&2; exit 100", ImageError, "locate", "mirror"),
        ("echo 'E: Unable to connect to x' >&2; exit 100", ImageError, "trying: E: Unable", "reaches"),
        (
            "echo noise >&2; echo 'E: Could not connect to x' >&2; exit 100",
            ImageError,
            "trying: E: Could",
            "archive",
        ),
    ],
)
def test_a_failure_says_why(script: str, kind: type[ImageError], said: str, hint: str | None) -> None:
    with pytest.raises(kind) as caught:
        run(["sh", "-c", script], "trying", timeout=10)
    assert said in caught.value.message
    assert (hint is None) == (caught.value.hint is None)
    assert hint is None or hint in str(caught.value)


def test_a_program_that_hangs_is_ended() -> None:
    with pytest.raises(ImageError, match="sleep took longer than 0 s"):
        run(["sleep", "60"], "trying", timeout=0.2)


def test_a_pipe_that_hangs_is_ended() -> None:
    with pytest.raises(ImageError, match="sleep took longer than 0 s"):
        pipe(["sleep", "60"], ["cat"], "trying", timeout=0.2)


def test_of_a_pipe_the_side_that_failed_is_blamed() -> None:
    with pytest.raises(ImageError, match="sh: producer broke"):
        pipe(["sh", "-c", "echo producer broke >&2; exit 1"], ["cat"], "trying", timeout=10)
    with pytest.raises(ImageError, match="sh: consumer broke"):
        pipe(["yes"], ["sh", "-c", "echo consumer broke >&2; exit 1"], "trying", timeout=10)


def test_a_reader_that_has_all_it_wants_is_no_failure() -> None:
    pipe(["yes"], ["head", "-n", "1"], "trying", timeout=10)


def test_a_pipe_tells_of_its_progress() -> None:
    said: list[str] = []
    pipe(["sh", "-c", "echo one >&2; echo two >&2"], ["cat"], "trying", timeout=10, narrate=said.append)
    assert said == ["one", "two"]
