"""Archives that no program made in good faith: none of them is read to its end."""

from __future__ import annotations

from typing import Final

from sandtop.core.tar.fields import MAX_PIECES

from .making import END, file, header, link, pax, sparse

_LONG: Final = b"9" * 400
ARCHIVES: Final = {
    "nothing": b"",
    "no tar": b"not a tar" * 100,
    "no end mark": file(b"x"),
    "a block and a half": file(b"x")[:700],
    "content cut": file(b"x", bytes(5000))[:3000],
    "a damaged header": file(b"x") + b"\1" * 512 + END,
    "a size of 400 digits": pax((b"size", _LONG)) + file(b"x") + END,
    "a size of 20 digits": pax((b"size", b"9" * 20)) + file(b"x") + END,
    "a size below 0": pax((b"size", b"-1")) + file(b"x") + END,
    "a size with underscores": pax((b"size", b"1_0")) + file(b"x") + END,
    "a size that is no number": header(b"x", size=b"0x10") + END,
    "a header's size below 0": header(b"x", size=b"\xff" * 12) + END,
    "a header's size of 95 bits": header(b"x", size=b"\x80" + b"\xff" * 11) + END,
    "a size beyond the end": header(b"x", size=b"\x80\0\0\0\x7f" + b"\xff" * 7) + END,
    "a time that is none": pax((b"mtime", b"nan")) + file(b"x") + END,
    "an endless time": pax((b"mtime", b"inf")) + file(b"x") + END,
    "a time of 5000 digits": pax((b"mtime", b"9" * 5000)) + file(b"x") + END,
    "a user of 400 digits": pax((b"uid", _LONG)) + file(b"x") + END,
    "a name with a NUL": pax((b"path", b"a\0b")) + file(b"x") + END,
    "a link with a NUL": pax((b"linkpath", b"a\0b")) + link(b"x", b"y") + END,
    "a long name": pax((b"path", b"a" * 5000)) + file(b"x") + END,
    "a long link": pax((b"linkpath", b"a" * 5000)) + link(b"x", b"y") + END,
    "a header of 8 GiB": header(b"P", b"x", size=(8 << 30) - 1) + bytes(4096),
    "a GNU name of 8 GiB": header(b"P", b"L", size=(8 << 30) - 1) + bytes(4096),
    "a global header of 8 GiB": header(b"P", b"g", size=(8 << 30) - 1) + bytes(4096),
    "a chain of headers": pax((b"path", b"p")) * 3000 + file(b"x") + END,
    "a chain of labels": header(b"V", b"V") * 3000 + file(b"x") + END,
    "a chain of global headers": pax((b"comment", b"p"), kind=b"g") * 3000 + file(b"x") + END,
    "a header without a member": pax((b"path", b"p")) + END,
    "a record that is too long": header(b"P", b"x", size=12) + b"99 path=abc\n".ljust(512, b"\0") + END,
    "a record of no length": header(b"P", b"x", size=9) + b"0 path=a\n".ljust(512, b"\0") + END,
    "a record without a keyword": header(b"P", b"x", size=5) + b"5 =a\n".ljust(512, b"\0") + END,
    "a record without an end": header(b"P", b"x", size=8) + b"8 a=bcde".ljust(512, b"\0") + END,
    "a global name": pax((b"path", b"p"), kind=b"g") + file(b"x") + END,
    "a global size": pax((b"size", b"1"), kind=b"g") + file(b"x") + END,
    "a map that is none": pax((b"GNU.sparse.map", b"x,y")) + file(b"x") + END,
    "a map without a size": pax((b"GNU.sparse.map", b"0,4")) + file(b"x") + END,
    "an odd map": pax((b"GNU.sparse.map", b"0"), (b"GNU.sparse.size", b"1")) + file(b"x") + END,
    "a map in another form": pax((b"GNU.sparse.major", b"2"), (b"GNU.sparse.minor", b"0")) + file(b"x") + END,
    "a sparse size of 400 digits": sparse(b"s", _LONG, b"0\n") + END,
    "a sparse size below 0": sparse(b"s", b"-5", b"0\n") + END,
    "a map with too many pieces": sparse(b"s", 10**6, b"%d\n" % (MAX_PIECES + 1)) + END,
    "a map of 400 digits": sparse(b"s", 10**6, _LONG + b"\n") + END,
    "a map without an end": sparse(b"s", 10**6, b"1" * 5000) + END,
    "a map that ends early": sparse(b"s", 10**6, b"5\n0\n1\n") + END,
    "a map below 0": sparse(b"s", 10**6, b"1\n-1\n1\n", b"x") + END,
    "a map beyond the size": sparse(b"s", 10, b"1\n9\n4\n", b"xxxx") + END,
    "a map that goes back": sparse(b"s", 100, b"2\n50\n2\n0\n2\n", b"xxxx") + END,
    "a map with more than the data": sparse(b"s", 100, b"1\n0\n90\n", b"xxxx") + END,
    "a map with less than the data": sparse(b"s", 100, b"1\n0\n2\n", b"xxxx") + END,
    "an old map without an end": b"".join(
        (
            header(b"s", b"S", magic=b"ustar  \0", tail=bytes(137) + b"\1" + b"00000001000\0"),
            (bytes(504) + b"\1".ljust(8, b"\0")) * 5000,
        )
    ),
}
