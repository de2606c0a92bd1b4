"""``sandtop create``: a sandbox that stays."""

from __future__ import annotations

from sandtop.core.client.blocking import call
from sandtop.core.client.exchange import as_object

from ._args import Parser, count, mebibytes, pair, variable
from ._output import Progress, write, write_json

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Final

_EXAMPLES: Final = """\
  sandtop create demo
  sandtop create --memory 1G --cpus 2 --network user --label team=a build"""


def add_options(parser: Parser) -> None:
    """What a new sandbox can be given; the core has the defaults."""
    add = parser.add_argument
    add("--cpus", type=count, metavar="N", help="virtual processors")
    add("--memory", type=mebibytes, metavar="SIZE", help="such as 512M or 2G")
    add("--disk", type=mebibytes, metavar="SIZE", help="room for what is written in it, such as 4G")
    add("--network", choices=("none", "user"), help="none (the default), or user: out through this host")
    add(
        "--env",
        action="append",
        type=variable,
        metavar="KEY=VALUE",
        help="for all that runs in it (repeatable)",
    )
    add("--workdir", metavar="DIR", help="where commands begin")
    add("--shell", metavar="PATH", help="what 'sandtop shell' runs scripts by")
    add("--user", metavar="USER", help="who commands run as")
    add("--cold", action="store_true", help="boot it, also where a template would start it at once")
    add("--label", action="append", type=pair, metavar="KEY=VALUE", help="label the sandbox (repeatable)")


def fields(options: argparse.Namespace) -> dict[str, object]:
    """The fields of ``sandbox.create`` that `add_options` fills; None where the core's default is meant."""
    return {
        "cpus": options.cpus,
        "memory": options.memory,
        "disk": options.disk,
        "network": options.network,
        "env": dict(options.env or ()),
        "workdir": options.workdir,
        "shell": options.shell,
        "user": options.user,
        "labels": dict(options.label or ()),
        "cold": options.cold,
    }


def create_main(argv: Sequence[str]) -> int:
    """Make a sandbox, boot it, and print its name."""
    parser = Parser("create", "[OPTIONS] NAME", "Make a sandbox and start it.", _EXAMPLES)
    parser.add_argument("name", metavar="NAME", help="1 to 63 of a-z, 0-9 and -")
    parser.add_argument("--image", metavar="NAME", help="the image that it starts from (base)")
    add_options(parser)
    parser.json()
    options = parser.parse_args(list(argv))
    with Progress() as progress:
        request = {"name": options.name, "image": options.image, **fields(options)}
        sandbox = as_object(call("sandbox.create", request, progress).get("sandbox"))
    if options.json:
        write_json(sandbox)
    else:
        write(f"{sandbox['name']}\n")
    return 0
