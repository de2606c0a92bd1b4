"""``sandtop volume``: disks with a name that outlive the sandboxes which mount them."""

from __future__ import annotations

from sandtop.core.client.link import call
from sandtop.core.contract.volume import VolumeCreate, VolumeInspect, VolumeList, VolumePrune, VolumeRemove
from sandtop.core.errors import EXIT_SANDTOP_FAILED, InvalidRequest, SandtopError

from ._args import Parser, mebibytes
from ._output import Progress, age, complain, size, table, write, write_json

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from sandtop.core.contract.volume import VolumeInfo

_WORDS: Final = "create|ls|inspect|rm|prune"
_EXAMPLES: Final = """\
  sandtop volume create --size 20G data
  sandtop create --mount type=volume,src=data,dst=/data box
  sandtop volume ls
  sandtop volume rm data"""


def volume_main(argv: Sequence[str]) -> int:
    """Make, list, show and remove volumes."""
    actions = {"create": _create, "ls": _list, "inspect": _inspect, "rm": _remove, "prune": _prune}
    action = actions.get(argv[0]) if argv else None
    if action is None:
        summary = "Disks with a name, which outlive the sandboxes that mount them."
        parser = Parser("volume", f"{_WORDS} …", summary, _EXAMPLES)
        parser.add_argument("action", choices=_WORDS.split("|"), metavar=_WORDS)
        parser.parse_args(list(argv))
        raise AssertionError("argparse took an action that is not there")
    return action(argv[1:])


def _create(argv: Sequence[str]) -> int:
    summary = "Make a volume; a sandbox that mounts one that is not there makes it, too."
    parser = Parser("volume create", "[OPTIONS] NAME", summary, "  sandtop volume create --size 20G data")
    parser.add_argument("name", metavar="NAME", help="letters, digits, _, . and -")
    parser.add_argument("--size", type=mebibytes, metavar="SIZE", help="what it can hold, such as 20G (8G)")
    parser.json()
    options = parser.parse_args(list(argv))
    with Progress() as progress:
        volume = call(VolumeCreate(name=options.name, size=options.size), progress).volume
    if options.json:
        write_json(volume.to_json())
    else:
        write(f"{volume.name}\n")
    return 0


def _list(argv: Sequence[str]) -> int:
    parser = Parser("volume ls", "[OPTIONS]", "List the volumes.", "  sandtop volume ls --json")
    parser.add_argument("-q", "--quiet", action="store_true", help="names only")
    parser.json()
    options = parser.parse_args(list(argv))
    volumes = call(VolumeList()).volumes
    if options.json:
        write_json([volume.to_json() for volume in volumes])
    elif options.quiet:
        write("".join(f"{volume.name}\n" for volume in volumes))
    else:
        table(
            ("name", "used", "size", "sandboxes", "written by", "age"), [_row(volume) for volume in volumes]
        )
    return 0


def _row(volume: VolumeInfo) -> tuple[object, ...]:
    sandboxes = ", ".join(volume.sandboxes) or "-"
    return (
        volume.name,
        size(volume.used),
        size(volume.size),
        sandboxes,
        volume.writer or "-",
        age(volume.created_at),
    )


def _inspect(argv: Sequence[str]) -> int:
    parser = Parser("volume inspect", "NAME", "All about a volume, as JSON.", "  sandtop volume inspect data")
    parser.add_argument("name", metavar="NAME", help="the volume")
    options = parser.parse_args(list(argv))
    write_json(call(VolumeInspect(name=options.name)).volume.to_json())
    return 0


def _remove(argv: Sequence[str]) -> int:
    summary = "Remove volumes that no sandbox has, with all that is in them."
    parser = Parser("volume rm", "NAME…", summary, "  sandtop volume rm data")
    parser.add_argument("names", metavar="NAME", nargs="+", help="the volume")
    options = parser.parse_args(list(argv))
    status = 0
    for name in options.names:
        try:
            call(VolumeRemove(name=name))
            write(f"{name}\n")
        except SandtopError as error:
            complain(error)
            status = EXIT_SANDTOP_FAILED
    return status


def _prune(argv: Sequence[str]) -> int:
    summary = "Remove all volumes that no sandbox has, with all that is in them."
    parser = Parser("volume prune", "--all", summary, "  sandtop volume prune --all")
    parser.add_argument(
        "-a", "--all", action="store_true", help="since all of them have names: say that you mean it"
    )
    parser.json()
    options = parser.parse_args(list(argv))
    if not options.all:
        raise InvalidRequest(
            "volumes have names, and what is in them is nowhere else",
            hint="sandtop volume prune --all removes all that no sandbox has",
        )
    pruned = call(VolumePrune())
    if options.json:
        write_json(pruned.to_json())
    else:
        write("".join(f"{name}\n" for name in pruned.volumes) + f"freed {size(pruned.freed)}\n")
    return 0
