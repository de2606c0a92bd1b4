from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtop.agent.users import UnknownUser, find_user, read_small_file

from .strategies import PATIENT

if TYPE_CHECKING:
    from sandtop.agent.users import User

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
# comment
broken
halfway:x:nan:1::/:
ann:x:1000:1000:Ann,,,:/home/ann:/bin/bash
1000:x:2000:2000::/home/digits:
bob:x:1001:100::
"""
GROUP = """\
root:x:0:
users:x:100:ann
ann:x:1000:ann
wheel:x:10:root,ann,bob
odd:x:many:ann
42:x:4242:
"""


@pytest.fixture
def etc(tmp_path: Path) -> str:
    (tmp_path / "passwd").write_text(PASSWD)
    (tmp_path / "group").write_text(GROUP)
    return str(tmp_path)


def fields(user: User) -> tuple[str, int, int, tuple[int, ...], str]:
    return user.name, user.uid, user.gid, user.groups, user.home


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("root", ("root", 0, 0, (10,), "/root")),
        ("0", ("root", 0, 0, (10,), "/root")),
        ("ann", ("ann", 1000, 1000, (100, 10), "/home/ann")),
        ("1001", ("bob", 1001, 100, (10,), "/")),
        ("1000", ("1000", 2000, 2000, (), "/home/digits")),
        ("7777", ("7777", 7777, 7777, (), "/")),
        ("ann:wheel", ("ann", 1000, 10, (), "/home/ann")),
        ("ann:5", ("ann", 1000, 5, (), "/home/ann")),
        ("7777:42", ("7777", 7777, 4242, (), "/")),
        ("4294967294", ("4294967294", 4294967294, 4294967294, (), "/")),
    ],
)
def test_users(etc: str, wanted: str, expected: tuple[object, ...]) -> None:
    assert fields(find_user(wanted, etc)) == expected


@pytest.mark.parametrize(
    "wanted",
    [
        "",
        ":",
        "nobody",
        "ann:nosuch",
        "ann:",
        "-1",
        "4294967295",
        "1 ",
        "٣",
        "halfway",
        "ann:odd",
        "root:0:0",
        "broken",
    ],
)
def test_users_that_there_are_not(etc: str, wanted: str) -> None:
    with pytest.raises(UnknownUser, match="there is no"):
        find_user(wanted, etc)


@pytest.mark.parametrize("kind", ["no etc", "nothing in it", "a file that is none", "without root"])
def test_root_and_numbers_need_no_entry(tmp_path: Path, kind: str) -> None:
    etc = tmp_path / "etc"
    if kind != "no etc":
        etc.mkdir()
    if kind == "a file that is none":
        (etc / "passwd").mkdir()
    elif kind == "without root":
        (etc / "passwd").write_text("ann:x:1000:1000::/:\n")
    for wanted in ("root", "0"):
        assert fields(find_user(wanted, str(etc))) == ("root", 0, 0, (), "/root")
    assert fields(find_user("0:5", str(etc))) == ("root", 0, 5, (), "/root")
    assert fields(find_user("33", str(etc))) == ("33", 33, 33, (), "/")


def test_a_changed_file_is_read_again(etc: str) -> None:
    assert find_user("ann", etc).uid == 1000
    fresh = Path(etc) / "fresh"
    fresh.write_text("ann:x:1234:1234::/:\n")
    fresh.rename(f"{etc}/passwd")
    assert find_user("ann", etc).uid == 1234


@pytest.mark.parametrize("make", ["nothing", "folder", "fifo", "device", "loop"])
def test_whatever_lies_there_nobody_waits(tmp_path: Path, make: str) -> None:
    path = tmp_path / "passwd"
    if make == "folder":
        path.mkdir()
    elif make == "fifo":
        os.mkfifo(path)
    elif make == "device":
        path.symlink_to("/dev/zero")
    elif make == "loop":
        path.symlink_to(path)
    assert read_small_file(str(path)) == ""
    assert find_user("0", str(tmp_path)).uid == 0
    with pytest.raises(UnknownUser):
        find_user("ann", str(tmp_path))


@PATIENT
@given(st.binary(max_size=200), st.text(max_size=12))
def test_any_bytes_make_a_user_or_say_that_there_is_none(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, wanted: str
) -> None:
    folder = tmp_path_factory.mktemp("etc")
    (folder / "passwd").write_bytes(content)
    (folder / "group").write_bytes(content)
    try:
        user = find_user(wanted, str(folder))
    except UnknownUser:
        return
    assert 0 <= user.uid < 1 << 32
    assert 0 <= user.gid < 1 << 32
