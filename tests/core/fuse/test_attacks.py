"""What a guest tries that wants out of its folder, or wants to bring the server down."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import stat
import struct
import threading
from typing import TYPE_CHECKING

import pytest

from sandtop.core.fuse import protocol
from sandtop.core.fuse.protocol import ROOT, Op

from .kernel import Failed, mounted, name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .kernel import Kernel

SECRET = b"what no guest may read"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root to prepare")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder; beside it there is something that no guest may reach."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(SECRET)
    made = tmp_path / "folder"
    made.mkdir()
    return made


@pytest.fixture
def kernel(folder: Path) -> Iterator[Kernel]:
    with mounted(folder) as made:
        yield made


BAD_NAMES = [b"..", b".", b"", b"a/b", b"../outside", b"/etc", b"../folder", b"x" * 256]


@pytest.mark.parametrize("bad", BAD_NAMES)
def test_a_name_is_that_of_an_entry(folder: Path, kernel: Kernel, bad: bytes) -> None:
    (folder / "file").touch()
    file = kernel.walk(b"file").node
    attempts = [
        (Op.LOOKUP, name(bad)),
        (Op.CREATE, protocol.CREATE_IN.pack(os.O_CREAT, 0o644, 0, 0) + name(bad)),
        (Op.MKNOD, protocol.MKNOD_IN.pack(stat.S_IFREG, 0, 0, 0) + name(bad)),
        (Op.MKDIR, protocol.MKDIR_IN.pack(0o755, 0) + name(bad)),
        (Op.SYMLINK, name(bad, b"x")),
        (Op.LINK, protocol.LINK_IN.pack(file) + name(bad)),
        (Op.UNLINK, name(bad)),
        (Op.RMDIR, name(bad)),
        (Op.RENAME, protocol.RENAME_IN.pack(ROOT) + name(bad, b"x")),
        (Op.RENAME, protocol.RENAME_IN.pack(ROOT) + name(b"file", bad)),
        (Op.RENAME2, protocol.RENAME2_IN.pack(ROOT, 2, 0) + name(b"file", bad)),
    ]
    for op, body in attempts:
        assert kernel.ask(op, ROOT, body).errno in (errno.EINVAL, errno.ENAMETOOLONG), op
    assert os.listdir(folder) == ["file"]
    assert os.listdir(folder.parent / "outside") == ["secret"]


def test_names_have_up_to_255_bytes(folder: Path, kernel: Kernel) -> None:
    kernel.create(ROOT, b"\xff" * 255)
    assert os.listdir(os.fsencode(folder)) == [b"\xff" * 255]


def test_links_lead_nowhere_on_the_host(folder: Path, kernel: Kernel) -> None:
    kernel.get(Op.SYMLINK, ROOT, name(b"out", b"../outside"))
    kernel.get(Op.SYMLINK, ROOT, name(b"file", b"../outside/secret"))
    out, file = kernel.walk(b"out"), kernel.walk(b"file")
    assert stat.S_ISLNK(out.mode)
    assert kernel.get(Op.READLINK, file.node) == b"../outside/secret"
    assert kernel.ask(Op.LOOKUP, out.node, name(b"secret")).errno == errno.ENOTDIR
    assert kernel.ask(Op.OPENDIR, out.node, protocol.OPEN_IN.pack(0, 0)).errno != 0
    for flags in (os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
        assert kernel.ask(Op.OPEN, file.node, protocol.OPEN_IN.pack(flags, 0)).errno == errno.EACCES
    with pytest.raises(Failed):
        kernel.set(file.node, protocol.SET_SIZE, size=0)
    with pytest.raises(Failed):
        kernel.set(file.node, protocol.SET_MODE, mode=0o777)
    with pytest.raises(Failed):  # O_CREAT follows no link, either
        kernel.create(ROOT, b"file")
    kernel.get(Op.LINK, ROOT, protocol.LINK_IN.pack(file.node) + name(b"hard"))
    assert (folder / "hard").is_symlink(), "what was linked is the link, not what it leads to"
    assert (folder.parent / "outside" / "secret").read_bytes() == SECRET


def test_a_folder_that_becomes_a_link_meanwhile_is_no_way_out(folder: Path, kernel: Kernel) -> None:
    """A directory of the host and a link out of the folder change places, again and again, beneath what is known."""
    inside, link, outside = folder / "inside", folder / "link", folder.parent / "outside"
    inside.mkdir()
    (inside / "secret").write_bytes(b"harmless")
    os.symlink(outside, link)
    over = threading.Event()

    def exchange() -> None:
        spare = folder / "spare"
        while not over.is_set():
            os.rename(inside, spare)
            os.rename(link, inside)
            os.rename(inside, link)
            os.rename(spare, inside)

    racer = threading.Thread(target=exchange)
    racer.start()
    met = 0
    try:
        for number in range(1500):
            try:
                found = kernel.walk(b"inside", b"secret")
                assert kernel.read(kernel.open(found.node)) == b"harmless"
                kernel.create(kernel.walk(b"inside").node, b"made%d" % number)
            except Failed:
                met += 1
    finally:
        over.set()
        racer.join()
    assert met > 0, "the race was lost by nobody"
    assert os.listdir(outside) == ["secret"]


def test_a_folder_that_is_moved_out_is_out(folder: Path, kernel: Kernel) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "file").write_bytes(SECRET)
    sub = kernel.walk(b"sub")
    file = kernel.walk(b"sub", b"file")
    (folder / "sub").rename(folder.parent / "elsewhere")
    for op, node, body in (
        (Op.OPEN, file.node, protocol.OPEN_IN.pack(0, 0)),
        (Op.LOOKUP, sub.node, name(b"file")),
        (Op.OPENDIR, sub.node, protocol.OPEN_IN.pack(0, 0)),
        (Op.CREATE, sub.node, protocol.CREATE_IN.pack(os.O_CREAT, 0o644, 0, 0) + name(b"new")),
    ):
        answer = kernel.ask(op, node, body)
        told = protocol.ENTRY_OUT.unpack_from(answer.body)[0] if op is Op.LOOKUP and not answer.errno else 0
        assert answer.errno in (errno.ENOENT, errno.ESTALE) or (op is Op.LOOKUP and told == 0), op
    assert os.listdir(folder.parent / "elsewhere") == ["file"]


def test_devices_and_fifos_are_neither_made_nor_opened(folder: Path, kernel: Kernel) -> None:
    for kind in (stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFLNK, stat.S_IFDIR, 0o170000):
        body = protocol.MKNOD_IN.pack(kind | 0o666, os.makedev(1, 3), 0, 0) + name(b"node")
        assert kernel.ask(Op.MKNOD, ROOT, body).errno == errno.EPERM
    os.mkfifo(folder / "fifo")
    fifo = kernel.walk(b"fifo")
    assert stat.S_ISFIFO(fifo.mode)
    for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):  # a FIFO would hold who opens it for ever
        assert kernel.ask(Op.OPEN, fifo.node, protocol.OPEN_IN.pack(flags, 0)).errno == errno.EACCES
    with pytest.raises(Failed):
        kernel.create(ROOT, b"fifo")
    with pytest.raises(Failed):
        kernel.set(fifo.node, protocol.SET_MODE, mode=0o777)


@as_root
def test_a_device_of_the_host_is_not_touched(folder: Path, kernel: Kernel) -> None:
    try:
        os.mknod(folder / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("this host makes no devices")
    device = kernel.walk(b"null")
    assert kernel.ask(Op.OPEN, device.node, protocol.OPEN_IN.pack(os.O_RDWR, 0)).errno == errno.EACCES
    with pytest.raises(Failed):
        kernel.set(device.node, protocol.SET_MODE, mode=0o777)
    assert stat.S_IMODE((folder / "null").stat().st_mode) == 0o600


def test_no_file_gets_a_set_id_bit(folder: Path, kernel: Kernel) -> None:
    made, handle = kernel.create(ROOT, b"made", 0o6755)
    assert stat.S_IMODE((folder / "made").stat().st_mode) == 0o755
    kernel.set(made.node, protocol.SET_MODE, mode=0o7777)
    assert stat.S_IMODE((folder / "made").stat().st_mode) == 0o777
    kernel.get(Op.MKDIR, ROOT, protocol.MKDIR_IN.pack(0o7777, 0) + name(b"sub"))
    assert stat.S_IMODE((folder / "sub").stat().st_mode) & 0o7000 & ~(folder.stat().st_mode & 0o2000) == 0
    (folder / "made").chmod(0o6755)
    assert kernel.status(made.node).mode & 0o7777 == 0o755, "none is shown"
    kernel.write(handle, b"x")
    assert not (folder / "made").stat().st_mode & stat.S_ISUID, "who writes to it takes it away, root too"


def test_what_it_never_heard_of_is_refused(folder: Path, kernel: Kernel) -> None:
    (folder / "file").write_text("x")
    node = kernel.walk(b"file").node
    handle = kernel.open(node)
    huge = (1 << 64) - 1
    refused = [
        (Op.GETATTR, 99, protocol.GETATTR_IN.pack(0, 0, 0), errno.ESTALE),
        (Op.LOOKUP, huge, name(b"x"), errno.ESTALE),
        (Op.READ, node, protocol.READ_IN.pack(77, 0, 10, 0, 0, 0, 0), errno.EBADF),
        (Op.READ, node, protocol.READ_IN.pack(handle, 0, 1 << 31, 0, 0, 0, 0), errno.EINVAL),
        (Op.READ, node, protocol.READ_IN.pack(handle, huge, 10, 0, 0, 0, 0), errno.EINVAL),
        (Op.WRITE, node, protocol.WRITE_IN.pack(handle, 0, 100, 0, 0, 0, 0) + b"short", errno.EINVAL),
        (Op.SETATTR, node, protocol.SETATTR_IN.pack(8, 0, 0, huge, *[0] * 12), errno.EFBIG),
        (Op.RENAME2, ROOT, protocol.RENAME2_IN.pack(ROOT, 4, 0) + name(b"file", b"x"), errno.EINVAL),
        (Op.LSEEK, node, protocol.LSEEK_IN.pack(handle, 0, 0, 0), errno.EINVAL),
        (999, ROOT, b"", errno.ENOSYS),
        (22, ROOT, b"\0" * 16, errno.ENOSYS),  # GETXATTR
    ]
    for op, at, body, problem in refused:
        assert kernel.ask(op, at, body).errno == problem, op
    kernel.forget(node, huge)
    kernel.forget(ROOT, huge)
    assert kernel.walk(b"file").size == 1


def test_a_path_that_is_too_deep_is_an_error_alone(folder: Path, kernel: Kernel) -> None:
    node, problem, depth = ROOT, 0, 0
    while not problem:
        problem = kernel.ask(Op.MKDIR, node, protocol.MKDIR_IN.pack(0o755, 0) + name(b"d" * 200)).errno
        found = kernel.ask(Op.LOOKUP, node, name(b"d" * 200))
        problem = problem or found.errno
        node = protocol.ENTRY_OUT.unpack_from(found.body)[0] if not problem else node
        depth += 1
    assert problem == errno.ENAMETOOLONG
    assert depth >= 4095 // 201
    kernel.create(ROOT, b"fine")
    shutil.rmtree(folder / ("d" * 200))


RUBBISH = [
    struct.pack("<I", 1 << 30) + bytes(60),
    struct.pack("<I", 3) + bytes(60),
    b"\xff" * 400,
    protocol.REQUEST.pack(protocol.REQUEST.size, Op.LOOKUP, 5, 1, 0, 0, 0, 0, 0),
    protocol.REQUEST.pack(protocol.REQUEST.size + 3, Op.SETATTR, 5, 1, 0, 0, 0, 0, 0) + b"abc",
    protocol.REQUEST.pack(protocol.REQUEST.size + 8, Op.BATCH_FORGET, 5, 1, 0, 0, 0, 0, 0)
    + struct.pack("<II", 1 << 31, 0),
]


@pytest.mark.parametrize("rubbish", RUBBISH)
def test_rubbish_ends_the_server_and_says_so(folder: Path, rubbish: bytes) -> None:
    with mounted(folder) as kernel:
        kernel.link.sendall(rubbish)
        with pytest.raises(EOFError):
            kernel.receive()
        assert kernel.process.wait(30) == 1
        assert kernel.process.stderr is not None
        said = kernel.process.stderr.read()
    assert "the guest sent" in said
    assert "Traceback" not in said


def test_a_flood_that_nobody_takes_the_answers_of_waits(folder: Path, kernel: Kernel) -> None:
    (folder / "file").write_bytes(b"x" * protocol.MAX_WRITE)
    handle = kernel.open(kernel.walk(b"file").node)
    body = protocol.READ_IN.pack(handle, 0, protocol.MAX_WRITE, 0, 0, 0, 0)
    asker = threading.Thread(target=lambda: [kernel.send(Op.READ, 0, body) for _ in range(500)])
    asker.start()  # 64 MB of answers, of which none is taken until some wait
    for number in range(500):
        answer = kernel.receive()[1]
        assert len(answer.body) == protocol.MAX_WRITE
        if number % 100 == 0:
            with open(f"/proc/{kernel.process.pid}/statm", "rb") as file:
                assert int(file.read().split()[1]) * resource.getpagesize() < 64 << 20
    asker.join()


@as_root
def test_a_server_of_roots_has_given_up_what_it_does_not_need(kernel: Kernel) -> None:
    with open(f"/proc/{kernel.process.pid}/status") as file:
        facts = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
    assert int(facts["CapEff"], 16) == int(facts["CapPrm"], 16) == 1 << 1 | 1 << 3
    assert facts["NoNewPrivs"] == "1"
