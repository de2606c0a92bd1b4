"""``sandtop fs``: single files of a sandbox, read, written and looked at in place. `cp` copies whole trees."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, cast

from sandtop.core.client.link import (
    Conversation,
    FileReading,
    FileWatching,
    FileWriting,
    call,
    listen,
    new_id,
)
from sandtop.core.contract.file import (
    FileAnswer,
    FileMkdir,
    FileRead,
    FileRemove,
    FileRename,
    FileStat,
    FileWatch,
    FileWrite,
)
from sandtop.core.errors import FileError, FileNotFound, InvalidRequest, SandtopError

from ._args import Parser, mode
from ._fs_listing import list_folder, status_text
from ._output import STDOUT, Progress, complain, write, write_json, write_line
from ._text import Neutraliser, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_EXAMPLES: Final = """\
  sandtop fs cat demo:/etc/os-release
  sandtop fs ls -l demo:/srv
  echo hello | sandtop fs write -p demo:/srv/new/greeting.txt
  sandtop fs stat --json demo:/srv demo:/etc/passwd
  sandtop fs mkdir -p demo:/srv/a/b
  sandtop fs mv demo:/srv/a demo:/srv/c
  sandtop fs rm -r demo:/srv/c
  sandtop fs watch demo:/srv"""

_Place = tuple[str, str]
"""A sandbox, and a path in it."""


def fs_main(argv: Sequence[str]) -> int:
    """Read, write, list, move, remove or watch files of a sandbox."""
    actions: dict[str, Callable[[Sequence[str]], int]] = {
        "cat": _cat,
        "ls": _list,
        "stat": _stat,
        "write": _write,
        "mkdir": _make_folder,
        "mv": _move,
        "rm": _remove,
        "watch": _watch,
    }
    action = actions.get(argv[0]) if argv else None
    if action is None:
        names = "|".join(actions)
        parser = Parser(
            "fs", f"{names} …", "Files of a sandbox, in place; 'sandtop cp' copies whole trees.", _EXAMPLES
        )
        parser.add_argument("action", choices=list(actions), metavar=names)
        parser.parse_args(list(argv))
        raise AssertionError("argparse took an action that is not there")
    return action(argv[1:])


class _FsParser(Parser):
    """The parser of a command on files, all of which have ``--user``."""

    def __init__(self, command: str, usage: str, summary: str, examples: str) -> None:
        super().__init__(f"fs {command}", usage, summary, examples)
        self.add_argument(
            "-u",
            "--user",
            metavar="USER",
            help="as whom: name, uid, uid:gid or name:group (the sandbox's own)",
        )

    def places(self) -> None:
        """Add one path or more."""
        self.add_argument("places", metavar="NAME:PATH", nargs="+", help="a sandbox, and a path in it")

    def place(self) -> None:
        """Add one path."""
        self.add_argument("place", metavar="NAME:PATH", help="a sandbox, and a path in it")


def place(text: str) -> _Place:
    """``NAME:PATH``; the path may be relative to the sandbox's workdir. Raises `InvalidRequest`."""
    name, colon, path = text.partition(":")
    if not colon or not name or "/" in name:
        raise InvalidRequest(f"{text or 'an empty path'} is not NAME:PATH", hint="such as demo:/etc/hostname")
    return name, path or "."


def _each(places: Sequence[str], work: Callable[[_Place], None]) -> int:
    """Do ``work`` with each; the exit status. What fails is told, and the others are done all the same."""
    failure: SandtopError | None = None
    for one in [place(text) for text in places]:
        try:
            work(one)
        except FileError as error:
            complain(error)
            failure = error
    return failure.exit_status if failure is not None else 0


def _cat(argv: Sequence[str]) -> int:
    parser = _FsParser(
        "cat",
        "[OPTIONS] NAME:PATH…",
        "Write what is in files to stdout; on a terminal without control sequences.",
        "  sandtop fs cat demo:/etc/os-release\n  sandtop fs cat demo:data.bin > data.bin",
    )
    parser.places()
    options = parser.parse_args(list(argv))

    def show(one: _Place) -> None:
        shown = Neutraliser() if os.isatty(STDOUT) else None
        for piece in listen(FileReading(FileRead(sandbox=one[0], path=one[1], user=options.user))):
            write(piece if shown is None else shown.feed(piece))
        if shown is not None:
            write(shown.feed(b"", final=True))

    return _each(options.places, show)


def _list(argv: Sequence[str]) -> int:
    parser = _FsParser(
        "ls",
        "[OPTIONS] NAME:PATH",
        "List what is in a folder, by name. A file is listed itself.",
        "  sandtop fs ls -l demo:/srv\n  sandtop fs ls demo:\n  sandtop fs ls --json demo:/tmp | jq '.[].size'",
    )
    parser.add_argument(
        "-a", "--all", action="store_true", help="also names that begin with a dot (so --json)"
    )
    parser.add_argument("-l", "--long", action="store_true", help="with mode, owner, size and time")
    parser.add_argument("-U", "--unsorted", action="store_true", help="in no order, each as soon as it comes")
    parser.json()
    parser.place()
    options = parser.parse_args(list(argv))
    list_folder(*place(options.place), options)
    return 0


def _stat(argv: Sequence[str]) -> int:
    parser = _FsParser(
        "stat",
        "[OPTIONS] NAME:PATH…",
        "Show what is known of files: kind, size, mode, owner, time.",
        "  sandtop fs stat demo:/etc/passwd\n  sandtop fs stat --json demo:/srv | jq '.[0].mode'",
    )
    parser.add_argument("-L", "--dereference", action="store_true", help="of what links lead to")
    parser.json()
    parser.places()
    options = parser.parse_args(list(argv))
    found: list[object] = []

    def look(one: _Place) -> None:
        request = FileStat(sandbox=one[0], path=one[1], user=options.user, follow=options.dereference)
        file = call(request).file
        if options.json:
            found.append(file.to_json())
        else:
            write(status_text(file))

    status = _each(options.places, look)
    if options.json:
        write_json(found)
    return status


def _write(argv: Sequence[str]) -> int:
    parser = _FsParser(
        "write",
        "[OPTIONS] NAME:PATH",
        "Make stdin what is in a file. It is replaced as a whole, once all has come.",
        "  echo hello | sandtop fs write -p demo:/srv/new/greeting.txt\n  sandtop fs write -m 755 demo:run.sh < run.sh",
    )
    parser.add_argument(
        "-m", "--mode", type=mode, metavar="MODE", help="its mode, in octal (as it was; a new one 644)"
    )
    parser.add_argument("-p", "--parents", action="store_true", help="make folders that are missing")
    parser.json()
    parser.place()
    options = parser.parse_args(list(argv))
    name, path = place(options.place)
    if os.isatty(0):
        raise InvalidRequest(
            "stdin is a terminal", hint=f"such as: echo hello | sandtop fs write {options.place}"
        )
    request = FileWrite(
        sandbox=name, path=path, user=options.user, mode=options.mode, parents=options.parents
    )
    writing = FileWriting(request, lambda most: os.read(0, most))
    Conversation(writing).run()
    _tell_made(FileAnswer, writing.result or {}, json=options.json)
    return 0


def _tell_made(kind: type[FileAnswer], result: dict[str, object], *, json: bool) -> None:
    from sandtop.core.contract.codec import decode_result

    file = decode_result(kind, result).file
    if json:
        write_json(file.to_json())


def _make_folder(argv: Sequence[str]) -> int:
    parser = _FsParser(
        "mkdir", "[OPTIONS] NAME:PATH…", "Make folders.", "  sandtop fs mkdir -p -m 700 demo:/srv/a/b"
    )
    parser.add_argument("-m", "--mode", type=mode, metavar="MODE", help="their mode, in octal (755)")
    parser.add_argument(
        "-p", "--parents", action="store_true", help="also those above; one that is there is no error"
    )
    parser.places()
    options = parser.parse_args(list(argv))

    def make(one: _Place) -> None:
        request = FileMkdir(
            sandbox=one[0],
            path=one[1],
            user=options.user,
            mode=options.mode,
            parents=options.parents,
            request_id=new_id(),
        )
        call(request)

    return _each(options.places, make)


def _move(argv: Sequence[str]) -> int:
    parser = _FsParser(
        "mv",
        "[OPTIONS] NAME:PATH NAME:TARGET",
        "Rename a file or folder; into TARGET when that is a folder. A file that is there is replaced.",
        "  sandtop fs mv demo:/srv/new.conf demo:/srv/app.conf",
    )
    parser.place()
    parser.add_argument("target", metavar="NAME:TARGET", help="the path that it gets, in the same sandbox")
    options = parser.parse_args(list(argv))
    (name, path), (other, target) = place(options.place), place(options.target)
    if name != other:
        raise InvalidRequest(
            f"{name} and {other} are two sandboxes", hint=f"sandtop cp {options.place} {options.target}"
        )
    try:
        if call(FileStat(sandbox=name, path=target, user=options.user)).file.kind == "directory":
            target = os.path.join(target, os.path.basename(path.rstrip("/")))
    except FileNotFound:
        pass
    call(FileRename(sandbox=name, path=path, target=target, user=options.user, request_id=new_id()))
    return 0


def _remove(argv: Sequence[str]) -> int:
    parser = _FsParser(
        "rm", "[OPTIONS] NAME:PATH…", "Remove files, and with -r folders.", "  sandtop fs rm -r demo:/srv/old"
    )
    parser.add_argument("-f", "--force", action="store_true", help="one that is not there is no error")
    parser.add_argument(
        "-r", "--recursive", action="store_true", help="also folders, with all that is in them"
    )
    parser.places()
    options = parser.parse_args(list(argv))

    def remove(one: _Place) -> None:
        request = FileRemove(
            sandbox=one[0], path=one[1], user=options.user, recursive=options.recursive, request_id=new_id()
        )
        try:
            with Progress() as progress:
                call(request, progress)
        except FileNotFound:
            if not options.force:
                raise

    return _each(options.places, remove)


def _watch(argv: Sequence[str]) -> int:
    parser = _FsParser(
        "watch",
        "[OPTIONS] NAME:PATH",
        "Say what happens to a file, or to what is in a folder, until it is gone or ctrl-c.",
        "  sandtop fs watch demo:/srv\n  sandtop fs watch --json demo:/srv | jq -r 'select(.what == \"written\").name'",
    )
    parser.json()
    parser.place()
    options = parser.parse_args(list(argv))
    name, path = place(options.place)
    for rows in listen(FileWatching(FileWatch(sandbox=name, path=path, user=options.user))):
        for row in rows:
            what, about, directory, cookie = cast("Sequence[object]", row)
            if options.json:
                write_line({"what": what, "name": about, "directory": directory, "cookie": cookie})
            else:
                write(f"{what:<10}  {visible(about)}{'/' if directory else ''}\n")
    return 0
