"""Files of a real sandbox, in place: what frameworks ask of a sandbox's files, and a core that dies meanwhile."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from sandtop import FileError, FileNotFound, IsADirectory, PermissionDenied
from sandtop.core.client.link import call
from sandtop.core.contract.core import Status
from sandtop.sync import Sandbox

from .conftest import eventually

if TYPE_CHECKING:
    from sandtop import FileChange

    from .conftest import Home

MIB = 1 << 20


def test_what_frameworks_need(home: Home, box: str) -> None:
    sandbox = Sandbox.get(box)
    files, before = sandbox.files, len(sandbox.sessions())
    # write with parents; text, binary, empty
    made = files.write("/srv/new/deep/text", "grüße\n", mode=0o640)
    assert (made.kind, made.size, made.mode, made.uid) == ("file", 8, 0o640, 0)
    assert files.read_text("/srv/new/deep/text") == "grüße\n"
    binary = bytes(range(256)) * 5
    files.write("/srv/new/binary", binary)
    assert files.read("/srv/new/binary") == binary
    files.write("/srv/new/empty", b"")
    assert files.read("/srv/new/empty") == b""
    assert b"MemTotal" in files.read("/proc/meminfo")
    # names with spaces, newlines and no UTF-8; nothing else is left in the folder
    names = ["a b", "new\nline", "\udcff\udcfe", "-rf"]
    for name in names:
        files.write(f"/srv/names/{name}", name.encode("utf-8", "surrogateescape"))
        assert files.read(f"/srv/names/{name}") == os.fsencode(name)
    assert [one.name for one in files.list("/srv/names")] == sorted(names)
    # what is missing, a folder, what may not be read
    with pytest.raises(FileNotFoundError) as missing:
        files.read("/srv/missing")
    assert isinstance(missing.value, FileNotFound)
    with pytest.raises(IsADirectory):
        files.read("/srv")
    with pytest.raises(PermissionDenied):
        files.read("/etc/shadow", user="nobody")
    with pytest.raises(FileError, match="a character device"):
        files.read("/dev/zero")
    assert files.write("/tmp/nobodys", "x", user="nobody").uid == 65534
    # a file of the image is replaced in the overlay; a folder of it is not renamed
    files.write("/etc/motd", "changed\n")
    assert sandbox.exec("cat", ["/etc/motd"]).text == "changed\n"
    with pytest.raises(FileError, match="sandtop exec box -- mv"):
        files.rename("/var/log", "/var/gol")
    files.remove("/srv/new", recursive=True)
    assert not files.exists("/srv/new")
    # of all that there is no session but the one of the exec
    assert len(sandbox.sessions()) == before + 1


def test_20_mib_while_the_core_dies(home: Home, box: str) -> None:
    files = Sandbox.get(box).files
    data = os.urandom(20 * MIB)
    files.write("/srv/big/large", data)
    pid = call(Status()).pid
    pieces = files.read_chunks("/srv/big/large")
    found = bytearray(next(pieces))
    os.kill(pid, signal.SIGKILL)
    for piece in pieces:
        found += piece
    assert bytes(found) == data
    assert call(Status()).pid != pid
    assert home.do("fs", "ls", "-a", f"{box}:/srv/big") == b"large\n"  # and nothing of what was not finished


def test_watching_a_program(home: Home, box: str) -> None:
    sandbox = Sandbox.get(box)
    found: list[FileChange] = []

    def watch() -> None:
        for change in sandbox.files.watch("/run"):
            found.append(change)
            if change.name == "end":
                return

    watching = threading.Thread(target=watch)
    watching.start()
    sandbox.shell("until [ -e /tmp/seen ]; do touch /run/tick; sleep 0.1; done &")
    eventually(lambda: found)
    sandbox.files.write("/tmp/seen", "")
    sandbox.shell("echo x > /run/result; mv /run/result /run/end")
    watching.join(60)
    told = [(change.what, change.name) for change in found if change.name != "tick"]
    whats = ("created", "modified", "written", "moved-from")
    assert told == [*((what, "result") for what in whats), ("moved-to", "end")]
