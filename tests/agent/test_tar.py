"""The agent's own programs: files out of the sandbox and into it, as tar streams."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from .core_side import CoreSide, Run

MTIME = 1_234_567_890_123_456_789


def create(core: CoreSide, *paths: object, **fields: object) -> Run:
    return core.run(builtin={"name": "tar-create", "paths": [str(path) for path in paths]}, **fields)


def extract(core: CoreSide, path: object, archive: bytes, *, rename: bool = True, **fields: object) -> Run:
    run = core.start(
        builtin={"name": "tar-extract", "path": str(path), "rename": rename}, stdin=True, **fields
    )
    core.write(run, archive)
    core.close(run)
    core.finish(run)
    return run


def code(run: Run) -> object:
    assert run.record is not None
    return run.record.get("code")


def make_tree(top: Path) -> None:
    (top / "sub" / "deep").mkdir(parents=True)
    (top / "empty").mkdir()
    (top / "file").write_bytes(b"content\0\xff")
    (top / "script").write_text("#!/bin/sh\n")
    (top / "script").chmod(0o755)
    (top / "sub" / "deep" / ("long" * 40)).write_bytes(b"x" * 100_000)
    (top / "sub" / "secret").write_text("s")
    (top / "sub" / "secret").chmod(0o600)
    (top / "link").symlink_to("file")
    (top / "dangling").symlink_to("/no/such")
    os.link(top / "file", top / "twin")
    os.mkfifo(top / "fifo")
    (top / "ümlaut").write_text("u")
    with open(os.fsencode(top) + b"/not-utf-8-\xff", "wb") as file:
        file.write(b"bytes")
    for path in sorted(top.rglob("*"), reverse=True):
        os.utime(path, ns=(MTIME, MTIME), follow_symlinks=False)
    os.utime(top, ns=(MTIME, MTIME))
    (top / "sub").chmod(0o750)
    os.utime(top / "sub", ns=(MTIME, MTIME))


def picture(top: Path) -> dict[str, tuple[object, ...]]:
    """All that copying keeps, by name."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [top, *top.rglob("*")]:
        status = path.lstat()
        kind = stat.S_IFMT(status.st_mode)
        content: object = None
        if stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        found[str(path.relative_to(top))] = (kind, stat.S_IMODE(status.st_mode), status.st_mtime_ns, content)
    return found


def archive(*members: tuple[str, bytes | None], **attributes: object) -> bytes:
    """A tar of files, and of folders where the content is None."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            else:
                info.size = len(content)
            for key, value in attributes.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content or b""))
    return out.getvalue()


def test_a_tree_goes_out_and_comes_back_the_same(core: CoreSide, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    make_tree(source)
    target.mkdir()
    out = create(core, source)
    assert code(out) == 0, out.stderr
    into = extract(core, target, out.stdout)
    assert (code(into), into.stderr) == (0, b"")
    assert picture(target / "source") == picture(source)
    assert (target / "source" / "file").stat().st_ino == (target / "source" / "twin").stat().st_ino


def test_other_tools_read_it(core: CoreSide, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    make_tree(source)
    with tarfile.open(fileobj=io.BytesIO(create(core, source).stdout)) as tar:
        names = set(tar.getnames())
        assert {
            "source",
            "source/sub/deep/" + "long" * 40,
            "source/ümlaut",
            "source/not-utf-8-\udcff",
        } <= names
        assert tar.extractfile("source/file").read() == b"content\0\xff"  # type: ignore[union-attr]


def test_what_is_the_kernels_own_is_copied_only_when_it_is_named(core: CoreSide, tmp_path: Path) -> None:
    def names(path: str) -> set[str]:
        with tarfile.open(fileobj=io.BytesIO(create(core, path).stdout)) as tar:
            return set(tar.getnames())

    (tmp_path / "kernels").mkdir()
    (tmp_path / "file").touch()
    mounted = core.run(argv=["mount", "-t", "devpts", "devpts", f"{tmp_path}/kernels"])
    assert code(mounted) == 0, mounted.stderr
    try:
        assert names(f"{tmp_path}/.") == {".", "./kernels", "./file"}, "the folder itself is there"
        assert "./ptmx" in names(f"{tmp_path}/kernels/.")
    finally:
        core.run(argv=["umount", f"{tmp_path}/kernels"])
    assert names("/proc/self/status") == {"status"}


@pytest.mark.parametrize("there", [True, False])
def test_where_a_copy_lands(core: CoreSide, tmp_path: Path, there: bool) -> None:
    """Into a folder that is there; otherwise under the name that was given: as cp, and docker cp, have it."""
    target = tmp_path / "target"
    if there:
        target.mkdir()
    assert code(extract(core, target, archive(("name", b"data")))) == 0
    assert (target / "name" if there else target).read_bytes() == b"data"


@pytest.mark.parametrize("there", [True, False])
def test_where_a_folders_contents_land(core: CoreSide, tmp_path: Path, there: bool) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "a").write_text("a")
    if there:
        target.mkdir()
    out = create(core, f"{source}/.")
    with tarfile.open(fileobj=io.BytesIO(out.stdout)) as tar:
        assert tar.getnames() == [".", "./a"]
    assert code(extract(core, target, out.stdout)) == 0
    assert [path.name for path in target.iterdir()] == ["a"]


def test_a_folder_under_another_name(core: CoreSide, tmp_path: Path) -> None:
    data = archive(("d", None), ("d/f", b"1"), ("d/e", None))
    assert code(extract(core, tmp_path / "new", data)) == 0
    assert (tmp_path / "new" / "f").read_bytes() == b"1"
    assert (tmp_path / "new" / "e").is_dir()


def test_a_relative_path_is_one_of_the_working_directory(core: CoreSide, tmp_path: Path) -> None:
    assert code(extract(core, "here", archive(("f", b"1")), cwd=str(tmp_path))) == 0
    assert (tmp_path / "here").read_bytes() == b"1"
    with tarfile.open(fileobj=io.BytesIO(create(core, "here", cwd=str(tmp_path)).stdout)) as tar:
        assert tar.getnames() == ["here"]


def test_a_link_is_copied_as_one_and_followed_with_a_slash(core: CoreSide, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "f").write_text("1")
    (tmp_path / "link").symlink_to("real")
    for path, names in ((f"{tmp_path}/link", ["link"]), (f"{tmp_path}/link/", ["link", "link/f"])):
        with tarfile.open(fileobj=io.BytesIO(create(core, path).stdout)) as tar:
            assert tar.getnames() == names


@pytest.mark.parametrize(
    ("target", "rename", "words"),
    [
        ("nosuch", False, b"no such directory"),
        ("file", False, b"not a directory"),
        ("nosuch/deeper", True, b"No such file or directory"),
        ("nosuch/", True, b"no such directory"),
        ("file/below", True, b"Not a directory"),
    ],
)
def test_a_place_that_is_none(
    core: CoreSide, tmp_path: Path, target: str, rename: bool, words: bytes
) -> None:
    (tmp_path / "file").write_text("old")
    run = extract(core, f"{tmp_path}/{target}", archive(("f", b"1")), rename=rename)
    assert code(run) == 1
    assert words in run.stderr
    assert (tmp_path / "file").read_text() == "old"


def test_what_is_there_is_replaced_and_never_written_through(core: CoreSide, tmp_path: Path) -> None:
    outside, target = tmp_path / "outside", tmp_path / "target"
    outside.write_text("mine")
    target.mkdir()
    (target / "f").symlink_to(outside)
    os.link(outside, target / "g")
    assert code(extract(core, target, archive(("f", b"1"), ("g", b"2")))) == 0
    assert outside.read_text() == "mine"
    assert [(target / name).read_bytes() for name in "fg"] == [b"1", b"2"]
    (target / "h").mkdir()
    run = extract(core, target, archive(("h", b"1"), ("i", b"2")))
    assert code(run) == 1
    assert b"h: Is a directory" in run.stderr
    assert (target / "i").read_bytes() == b"2", "the others are unpacked all the same"


def test_nothing_leads_out(core: CoreSide, tmp_path: Path) -> None:
    outside, target = tmp_path / "outside", tmp_path / "target"
    outside.mkdir()
    target.mkdir()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind, link in (
            ("../escaped", tarfile.REGTYPE, ""),
            ("a/../../escaped", tarfile.REGTYPE, ""),
            ("way", tarfile.SYMTYPE, str(outside)),
            ("way/escaped", tarfile.REGTYPE, ""),
            ("way/folder", tarfile.DIRTYPE, ""),
            ("hard", tarfile.LNKTYPE, "../outside/secret"),
            ("hard", tarfile.LNKTYPE, "way/secret"),
            ("device", tarfile.CHRTYPE, ""),
            (f"{outside}/absolute", tarfile.REGTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            tar.addfile(info)
    (outside / "secret").write_text("s")
    run = extract(core, target, out.getvalue())
    assert code(run) == 1
    assert len(run.stderr.splitlines()) == 7
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert not (tmp_path / "escaped").exists()
    assert (target / str(outside)[1:] / "absolute").exists(), "an absolute name is one below the folder"


def test_two_names_do_not_fit_one(core: CoreSide, tmp_path: Path) -> None:
    run = extract(core, tmp_path / "new", archive(("a", b"1"), ("b", b"2")))
    assert code(run) == 1
    assert b"more than one name" in run.stderr


def test_an_archive_that_is_none_or_ends_early(core: CoreSide, tmp_path: Path) -> None:
    whole = archive(("f", b"x" * 5000))
    for data in (b"not a tar" * 100, whole[:2000], b""):
        run = extract(core, tmp_path, data)
        assert code(run) == 1
        assert run.stderr


def test_modes_that_only_their_owner_could_give_are_not_kept(core: CoreSide, tmp_path: Path) -> None:
    assert code(extract(core, tmp_path, archive(("f", b"1"), mode=0o6755, uid=7, gid=7))) == 0
    status = (tmp_path / "f").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o755, 0, 0)


def test_holes_take_no_space(core: CoreSide, tmp_path: Path) -> None:
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.seek(20 << 20)
        file.write(b"end")
    out = create(core, path)
    target = tmp_path / "target"
    target.mkdir()
    assert code(extract(core, target, out.stdout)) == 0
    copy = target / "big"
    assert copy.stat().st_size == (20 << 20) + 3
    assert copy.stat().st_blocks * 512 < 1 << 20
    assert copy.read_bytes() == path.read_bytes()


def test_another_user_reads_and_writes_as_that_user(core: CoreSide, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "open").write_text("o")
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(folder.stat().st_mode | 0o011)
    run = create(core, tmp_path / "secret", tmp_path / "open", tmp_path / "nosuch", user="nobody")
    assert code(run) == 1
    assert b"secret: Permission denied" in run.stderr
    assert b"nosuch: No such file or directory" in run.stderr
    with tarfile.open(fileobj=io.BytesIO(run.stdout)) as tar:
        assert tar.getnames() == ["open"]
    assert code(extract(core, tmp_path / "new", archive(("f", b"1")), user="nobody")) == 1
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 65534, 65534)
    assert code(extract(core, tmp_path / "theirs", archive(("f", b"1")), user="nobody")) == 0
    assert (tmp_path / "theirs" / "f").stat().st_uid == 65534


def test_a_folder_for_it_must_be_there(core: CoreSide) -> None:
    run = create(core, "x", cwd="/no/such")
    assert run.record is not None
    assert (run.record["reason"], run.record["stage"]) == ("spawn", "cwd")


def test_its_process_holds_no_other_sessions_pipes(core: CoreSide, tmp_path: Path) -> None:
    """A fork keeps every descriptor: another program would wait for an end of file that cannot come."""
    cat = core.start("cat", stdin=True)
    core.wait(lambda: cat.pid is not None)
    builtin = core.start(builtin={"name": "tar-extract", "path": str(tmp_path)}, stdin=True)
    core.wait(lambda: builtin.pid is not None)
    core.close(cat)
    core.finish(cat)
    core.close(builtin)
    core.finish(builtin)
    assert code(builtin) == 1


@pytest.mark.parametrize(
    "fields", [{"name": "tar-create"}, {"name": "tar-create", "paths": []}, {"name": "tar-extract"}, {}]
)
def test_a_builtin_without_its_fields(core: CoreSide, fields: dict[str, object]) -> None:
    run = core.run(builtin=fields)
    assert run.record is not None
    assert (run.record["reason"], run.record["stage"]) == ("spawn", "exec")
