"""What a build copies, and by which keys its steps are known."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from sandtop.core import dockerfile as dockerfiles
from sandtop.core.client.sdk.building.archives import is_archive, plain
from sandtop.core.client.sdk.building.context import Context
from sandtop.core.client.sdk.building.steps import Copy, Planned, Planner, Run
from sandtop.core.errors import InvalidRequest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "context"
    (root / "src/sub").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "src/one.py", "src/sub/two.py", "src/sub/two.pyc", "secret"):
        (root / name).write_text(f"this is {name}")
    (root / "src/link").symlink_to("one.py")
    (root / "out").symlink_to("/etc/passwd")
    (root / ".dockerignore").write_text("secret\n**/*.pyc\n")
    return root


def archived(
    context: Context, *sources: str, into_folder: bool = False, mode: int | None = None
) -> list[str]:
    data = b"".join(context.select(sources).packed(mode, into_folder=into_folder))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [f"{info.name} {info.mode:o}" if mode else info.name for info in tar]


def test_what_is_copied(folder: Path) -> None:
    context = Context(folder)
    assert archived(context, "a.txt") == ["a.txt"]
    assert archived(context, "a.txt", into_folder=True) == [".", "./a.txt"]
    assert archived(context, "*.txt") == [".", "./a.txt", "./b.txt"]
    tree = [".", "./link", "./one.py", "./sub", "./sub/two.py"]
    assert archived(context, "src") == tree
    assert archived(context, "src/", "a.txt") == [*tree, "./a.txt"]
    assert archived(context, "/../src/sub") == [".", "./two.py"]
    assert archived(context, "src/link", mode=0o700) == ["link 700"], "a link is followed: it is the file"
    assert "./secret" not in archived(context, ".")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("none", "'none' is not in the context"),
        ("*.md", "'[*].md' is not in the context"),
        ("secret", "'secret' is not in the context"),
        ("out", "'out' is a link that leads out of the context"),
    ],
)
def test_what_cannot_be_copied(folder: Path, source: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{said}"):
        Context(folder).select([source])


def test_a_context_that_is_none(folder: Path) -> None:
    for path in (folder / "none", folder / "a.txt"):
        with pytest.raises(InvalidRequest, match="is no folder"):
            Context(path)


def planned(folder: Path, *lines: str, **given: str) -> Planned:
    dockerfile = dockerfiles.parse("FROM base\n" + "\n".join(lines), given)
    stage = Planned("chain", "base", dockerfiles.Settings(env={"PATH": "/bin"}))

    def find(name: str, _before: int) -> int:
        raise InvalidRequest(f"there is no stage {name}")

    Planner(dockerfile, Context(folder), find, {}).plan(0, stage)
    return stage


def keys(folder: Path, *lines: str, **given: str) -> list[str]:
    return [step.key for step in planned(folder, *lines, **given).steps if step.key is not None]


def test_a_key_is_of_all_that_its_step_depends_on(folder: Path) -> None:
    lines = ("COPY src /srv/", "RUN make")
    before = keys(folder, *lines)
    assert keys(folder, *lines) == before
    assert keys(folder, "LABEL a=b", *lines, "CMD x") == before, "what changes no file changes no key"
    os.utime(folder / "src/one.py", (1, 1))
    assert keys(folder, *lines) == before, "nor do times"
    (folder / "src/sub/two.pyc").write_text("hidden")
    assert keys(folder, *lines) == before
    for other in (
        ("COPY src /srv/", "RUN make all"),
        ("COPY src /srv/", "ENV A=1", "RUN make"),
        ("COPY src /srv/", "USER web", "RUN make"),
        ("COPY src /srv/", "WORKDIR /srv", "RUN make"),
        ("COPY src /srv/", 'SHELL ["bash", "-c"]', "RUN make"),
        ("COPY src /srv/", 'RUN ["make"]'),
        ("COPY src /srv/", "ARG X=1", "RUN make"),
    ):
        first, second = keys(folder, *other)
        assert first == before[0], other
        assert second != before[1], other
    (folder / "src/one.py").write_text("changed")
    assert not {*keys(folder, *lines)} & {*before}
    changed = keys(folder, *lines)
    (folder / "src/one.py").chmod(0o755)
    assert not {*keys(folder, *lines)} & {*changed}


def test_what_programs_and_copies_get(folder: Path) -> None:
    stage = planned(
        folder,
        "ARG V=1",
        "ENV A=$V",
        "WORKDIR /srv",
        "USER web",
        "RUN echo $A",
        "COPY --chown=1 a.txt sub/",
        V="2",
    )
    run, copy = (step.work for step in stage.steps if step.work is not None)
    assert run == Run(
        ["/bin/sh", "-c", "echo $A"], {"V": "2", "PATH": "/bin", "A": "2"}, user="web", workdir="/srv"
    )
    assert isinstance(copy, Copy)
    assert (copy.target, copy.owner) == ("/srv/sub/", "1:1")
    assert [step.workdir for step in stage.steps if step.workdir] == ["/srv"]
    assert stage.begun.env == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("COPY none /", "line 2: COPY: 'none' is not in the context"),
        ("COPY a.txt", "line 2: COPY: it takes SOURCE… TARGET"),
        ("COPY a.txt b.txt /c", "line 2: COPY: several sources need a folder"),
        ("COPY --from=other /a /b", "line 2: COPY: there is no stage other"),
        ("ADD https://localhost/x /", "line 2: ADD: only files of the context can be added"),
        ("ENV A", "line 2: ENV: 'A' has no value"),
    ],
)
def test_what_cannot_be_done_is_named_before_anything_is(folder: Path, line: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        planned(folder, line)
    assert caught.value.message.startswith(said)


def test_archives(folder: Path) -> None:
    with tarfile.open(folder / "a.tar.xz", "w:xz") as tar:
        tar.add(folder / "a.txt", "a.txt")
    (folder / "not.gz").write_bytes(gzip.compress(b"no tar"))
    assert [is_archive(str(folder / name)) for name in ("a.tar.xz", "not.gz", "a.txt", "src")] == [
        True, False, False, False,
    ]  # fmt: skip
    (step,) = planned(folder, "ADD a.tar.xz /x").steps
    assert isinstance(step.work, Copy)
    assert step.work.archive is not None
    with tarfile.open(fileobj=io.BytesIO(b"".join(plain(step.work.archive)))) as tar:
        assert tar.getnames() == ["a.txt"]
    (folder / "a.tar.xz").write_bytes((folder / "a.tar.xz").read_bytes()[:-20])
    with pytest.raises(InvalidRequest, match="damaged"):
        b"".join(plain(step.work.archive))
