"""What a `configure` does to the files of the sandbox."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandtop.agent.machine import Identity, Machine, furnish, name_host, overwrite, resolver_of
from sandtop.agent.replacing import replace
from sandtop.agent.wire.values import InvalidMessage
from sandtop.core.guest import KERNEL_ARGS, network_argument

if TYPE_CHECKING:
    from collections.abc import Mapping
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


@pytest.mark.parametrize(
    ("there", "room"),
    [("x\n", True), ("old\n", True), ("longer\n", False), ("", False), ("two names", False), ("link", False)],
)
def test_what_is_a_plain_file_with_room_is_overwritten(tmp_path: Path, there: str, room: bool) -> None:
    path = tmp_path / "hostname"
    if there == "link":
        (tmp_path / "elsewhere").write_text("x")
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.write_text(there)
    if there == "two names":
        path.write_text("x\n")
        os.link(path, tmp_path / "other")
    before = path.read_text(), path.lstat().st_ino
    assert overwrite(str(path), "new\n") is room
    assert (path.read_text(), path.lstat().st_ino) == (("new\n", before[1]) if room else before)


def test_a_fifo_in_a_file_s_place_blocks_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hostname")
    assert not overwrite(str(tmp_path / "hostname"), "new\n")


NAMED = Identity({"hostname": "box", "machine_id": "0123", "entropy": ""})


class Unnamed(Machine):
    """It does not rename this host."""

    def _write_all(self, files: Mapping[str, str]) -> list[str]:
        return super()._write_all(
            {path: text for path, text in files.items() if not path.startswith("/proc/")}
        )


def test_an_image_without_etc_gets_one(tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    assert Unnamed(-1, str(etc), "nameserver 1.2.3.4\n").identify(NAMED) == []
    assert (etc / "hostname").read_text() == "box\n"
    assert (etc / "resolv.conf").read_text() == "nameserver 1.2.3.4\n"
    assert (etc / "machine-id").read_text() == "0123\n"
    assert (etc / "hosts").read_text().splitlines()[:2] == [
        "127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback",
    ]  # fmt: skip
    assert os.readlink(etc / "mtab") == "/proc/mounts"
    assert sorted(os.listdir(etc)) == ["hostname", "hosts", "machine-id", "mtab", "resolv.conf"]


@pytest.mark.parametrize("kind", ["folders", "a file", "a link to nothing", "a full disk"])
def test_what_cannot_be_written_is_said_and_the_rest_is_there(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    etc = tmp_path / "etc"
    lost = ["hostname", "hosts", "machine-id"]
    if kind == "folders":
        (etc / "hosts" / "kept").mkdir(parents=True)
        (etc / "hostname.sandtop").mkdir()
        lost = ["hostname", "hosts"]
    elif kind == "a file":
        etc.touch()
    elif kind == "a link to nothing":
        etc.symlink_to(tmp_path / "nowhere")
    else:
        etc.mkdir()
        write = os.write

        def takes_one_byte(fd: int, data: bytes) -> int:
            return write(fd, data[:1])

        monkeypatch.setattr(os, "write", takes_one_byte)
    warnings = Unnamed(-1, str(etc)).identify(NAMED)
    assert [line.split()[0] for line in warnings] == [f"{etc}/{name}" for name in lost]
    assert all(" could not be written: " in line for line in warnings)
    if kind == "a full disk":
        assert [line.rpartition(": ")[2] for line in warnings] == ["No space left on device"] * 3
        assert os.listdir(etc) == ["mtab"], "no halves"
    if kind == "folders":
        assert (etc / "machine-id").read_text() == "0123\n"
        assert sorted(os.listdir(etc)) == ["hostname.sandtop", "hosts", "machine-id", "mtab"]


def test_what_is_there_already_is_not_written_again(tmp_path: Path) -> None:
    machine = Unnamed(-1, str(tmp_path))
    machine.identify(NAMED)
    before = {entry.name: entry.inode() for entry in os.scandir(tmp_path)}
    assert machine.identify(NAMED) == []
    assert {entry.name: entry.inode() for entry in os.scandir(tmp_path)} == before


@pytest.mark.parametrize("name", ["y", "a-long-name" * 5])
def test_a_prepared_machine_is_named_in_place(tmp_path: Path, name: str) -> None:
    etc = tmp_path / "etc"
    machine = Unnamed(-1, str(etc), "nameserver 1.2.3.4\n")
    machine.prepare()
    before = {entry.name: entry.inode() for entry in os.scandir(etc)}
    assert machine.identify(Identity({"hostname": name, "machine_id": "f" * 32, "entropy": ""})) == []
    assert {entry.name: entry.inode() for entry in os.scandir(etc)} == before
    assert (etc / "hostname").read_text() == f"{name}\n"
    assert (etc / "machine-id").read_text() == "f" * 32 + "\n"
    assert [line.split()[:2] for line in (etc / "hosts").read_text().splitlines()][2:] == [
        ["127.0.1.1", name]
    ]


def test_the_links_of_dev(tmp_path: Path) -> None:
    furnish(str(tmp_path))
    (tmp_path / "fd" / "0").stat()
    assert os.path.samefile(tmp_path / "stdin", "/proc/self/fd/0")
    assert os.listdir(tmp_path / "fd")


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


def test_the_resolver_is_the_one_that_the_host_told_the_kernel() -> None:
    told = network_argument("10.0.2.15", "255.255.255.0", "10.0.2.2", "10.0.2.3")
    assert resolver_of(" ".join((*KERNEL_ARGS, told)).encode()) == "nameserver 10.0.2.3\n"
    assert resolver_of(" ".join(KERNEL_ARGS).encode()) is None
