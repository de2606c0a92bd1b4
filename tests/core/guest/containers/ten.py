"""Ten images such as people have: in small, but with what each kind of them is known to have."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final

from ...tar.making import file, folder, hard_link, header, link, pax, sparse

if TYPE_CHECKING:
    from collections.abc import Mapping

    Made = tuple[list[bytes], Mapping[str, object]]

# capabilities(7), the extended attribute: version 2, effective, then two words of permitted and inheritable
_NET_BIND: Final = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
_PASSWD: Final = b"root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000::/home/web:/bin/sh\n"
_TOOL: Final = b"#!/bin/sh\necho tool\n"


def _xattr(name: bytes, value: bytes) -> bytes:
    return pax((b"SCHILY.xattr." + name, value))


def _many(count: int, below: bytes) -> bytes:
    return b"".join(
        file(b"%s/module%d.py" % (below, number), b"n = %d\n" % number) for number in range(count)
    )


def alpine() -> Made:
    """busybox and links to it; an owner or two; a folder with the sticky bit."""
    applets = b"".join(link(b"bin/" + name, b"/bin/busybox") for name in (b"sh", b"ls", b"cat"))
    base = folder(b"bin/") + file(b"bin/busybox", os.urandom(50_000), mode=0o755) + applets
    base += folder(b"etc/") + file(b"etc/passwd", _PASSWD) + file(b"etc/shadow", b"!", mode=0o640, gid=42)
    return [base + folder(b"tmp/", 0o1777)], {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]}


def debian() -> Made:
    """usr-merge: /bin is a link, and a later layer puts files through it."""
    base = folder(b"./") + folder(b"./usr/") + folder(b"./usr/bin/") + folder(b"./usr/lib/")
    base += link(b"./bin", b"usr/bin") + link(b"./lib", b"usr/lib") + file(b"./usr/bin/sh", _TOOL, mode=0o755)
    more = file(b"bin/later", _TOOL, mode=0o755) + file(b"lib/x86_64/libc.so.6", b"ELF") + file(b"bin/.wh.sh")
    return [base, more], {"Cmd": ["bash"]}


def busybox() -> Made:
    """One file with four hundred names."""
    links = b"".join(hard_link(b"bin/applet%d" % number, b"bin/[") for number in range(400))
    return [folder(b"bin/") + file(b"bin/[", os.urandom(10_000), mode=0o755) + links], {}


def python() -> Made:
    """Many small files, in layers that replace some of each other's; long names, names that are no UTF-8."""
    base = folder(b"usr/lib/python3/") + _many(500, b"usr/lib/python3")
    long = b"usr/lib/" + b"n" * 90 + b"/" + b"m" * 90
    more = _many(20, b"usr/lib/python3") + pax((b"path", long)) + file(b"x") + file(b"caf\xe9")
    return [base, more], {"Entrypoint": ["python3"], "Env": ["PYTHONPATH=/usr/lib/python3", "EMPTY="]}


def distroless() -> Made:
    """No shell; owners without names."""
    return [
        folder(b"home/nonroot/") + file(b"app", os.urandom(3000), mode=0o555, uid=65532, gid=65532),
        pax((b"uid", b"4000000"), (b"gid", b"3000000")) + file(b"etc/os-release", b"ID=none\n"),
    ], {"User": "65532:65532", "Entrypoint": ["/app"], "WorkingDir": "/home/nonroot"}


def user() -> Made:
    """Programs that run as somebody else, in a folder of theirs."""
    files = file(b"etc/passwd", _PASSWD) + folder(b"home/web/") + file(b"home/web/x", uid=1000, gid=1000)
    return [files + file(b"su", _TOOL, mode=0o4755) + file(b"sg", _TOOL, mode=0o2711)], {
        "User": "web",
        "ExposedPorts": {"80/tcp": {}},
        "Volumes": {"/data": {}},
        "WorkingDir": "/srv/work",
    }


def scratch() -> Made:
    """One file."""
    return [file(b"hello", os.urandom(2000), mode=0o755)], {"Cmd": ["/hello"]}


def whiteouts() -> Made:
    """Three layers that remove what is below them: files, folders, whole contents; and put back some of it."""
    base = folder(b"a/") + file(b"a/one") + file(b"a/two") + folder(b"b/") + file(b"b/deep/x") + file(b"c")
    base += folder(b"d/") + file(b"d/old") + folder(b"d/sub/") + file(b"d/sub/old") + file(b"f", b"file")
    second = file(b"a/.wh.one") + file(b".wh.b") + file(b"d/.wh..wh..opq") + file(b"d/new", b"n")
    second += folder(b"f/") + file(b"f/in", b"a folder now") + file(b".wh.never-was")
    third = file(b"a/one", b"again") + file(b"b/deep/y") + file(b".wh.c") + hard_link(b"a/three", b"a/two")
    third += file(b"d/sub/new", b"n") + file(b"f/.wh.in")
    return [base, second, third], {}


def attributes() -> Made:
    """A capability, attributes of users and of the system, hard links that share them, a sparse file, a FIFO."""
    base = _xattr(b"security.capability", _NET_BIND) + file(b"bin/server", _TOOL, mode=0o755)
    base += _xattr(b"user.note", b"\0binary\n") + file(b"noted") + hard_link(b"noted-too", b"noted")
    base += sparse(b"sparse", 1 << 20, b"1\n4096\n4\n", b"data") + header(b"fifo", b"6")
    return [base, hard_link(b"bin/server-too", b"bin/server") + file(b"noted", b"replaced")], {}


def large(size: int = 8 << 20) -> Made:
    """One large file that hardly compresses, and what lies over it."""
    noise = os.urandom(1 << 20)
    return [file(b"blob", noise * (size >> 20)), file(b"small")], {}


TEN: Final = {
    made.__name__: made
    for made in (alpine, debian, busybox, python, distroless, user, scratch, whiteouts, attributes, large)
}
