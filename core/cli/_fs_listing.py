"""Listings of ``sandtop fs``: what is in a folder, and what is known of a file."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any, Final, cast

from sandtop.core.client.link import FileListing, call, listen
from sandtop.core.contract.file import FileInfo, FileList, FileStat
from sandtop.core.errors import NotADirectory

from ._output import clock, formatted, write
from ._text import visible

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    Row = Sequence[Any]
    """``[name, kind, size, mode, uid, gid, links, modified_at, target]``"""

_LETTERS: Final = {
    "file": stat.S_IFREG,
    "directory": stat.S_IFDIR,
    "symlink": stat.S_IFLNK,
    "fifo": stat.S_IFIFO,
    "socket": stat.S_IFSOCK,
    "block": stat.S_IFBLK,
    "character": stat.S_IFCHR,
}
_FIELDS: Final = ("name", "kind", "size", "mode", "uid", "gid", "links", "modified_at", "target")


def list_folder(sandbox: str, path: str, options: argparse.Namespace) -> None:
    """Print what is in a folder, or the file itself, as the ``options`` of ``fs ls`` say."""
    pages = _pages(sandbox, path, options.user)
    if not options.all and not options.json:
        pages = ([row for row in page if not row[0].startswith(".")] for page in pages)
    if not options.unsorted:
        pages = iter([sorted((row for page in pages for row in page), key=lambda row: cast("str", row[0]))])
    if options.json:
        _print_json(pages)
        return
    for page in pages:
        write(_long(page) if options.long else "".join(f"{visible(row[0])}\n" for row in page))


def _pages(sandbox: str, path: str, user: str | None) -> Iterator[list[Row]]:
    try:
        for rows in listen(FileListing(FileList(sandbox=sandbox, path=path, user=user))):
            yield cast("list[Row]", rows)
    except NotADirectory:
        file = call(FileStat(sandbox=sandbox, path=path, user=user, follow=False)).file
        yield [[path if name == "name" else getattr(file, name) for name in _FIELDS]]


def _print_json(pages: Iterator[list[Row]]) -> None:
    """Print all rows as one JSON array, page by page."""
    begun = False
    for page in pages:
        for row in page:
            write((",\n " if begun else "[\n ") + json.dumps(dict(zip(_FIELDS, row, strict=True))))
            begun = True
    write("\n]\n" if begun else "[]\n")


def _long(rows: Sequence[Row]) -> str:
    cells = [
        (
            _mode(row[1], row[3]),
            _owner(row[4], row[5]),
            _or_none(row[2]),
            _time(row[7]),
            _shown(row[0], row[8]),
        )
        for row in rows
    ]
    return formatted(("mode", "owner", "size", "modified", "name"), cells) if rows else ""


def _mode(kind: str, mode: int | None) -> str:
    """Type and permissions as ls(1) writes them."""
    if mode is None:
        return f"{'d' if kind == 'directory' else '?'}?????????"
    return stat.filemode(_LETTERS.get(kind, 0) | mode)


def _owner(uid: int | None, gid: int | None) -> str:
    return "?" if uid is None else f"{uid}:{gid}"


def _or_none(value: object) -> object:
    return "?" if value is None else value


def _time(at: float | None) -> str:
    return "?" if at is None else clock(at)


def _shown(name: str, target: str | None) -> str:
    return name if target is None else f"{name} -> {target}"


def status_text(file: FileInfo) -> str:
    """What is known of ``file``, a line for each thing."""
    lines = [
        ("path", _shown(file.path, file.target)),
        ("kind", file.kind),
        ("size", file.size),
        ("mode", "?" if file.mode is None else f"{file.mode:04o} ({_mode(file.kind, file.mode)})"),
        ("owner", _owner(file.uid, file.gid)),
        ("links", file.links),
        ("modified", _time(file.modified_at)),
    ]
    return "".join(f"{name + ':':<10}{visible(value)}\n" for name, value in lines)
