"""``sandtop create``: makes sandboxes and starts them."""

from __future__ import annotations

from sandtop.core.client.link import (
    call,
    docker_config,
    mount,
    port_forward,
    secret,
    short_mount,
    tmpfs_mount,
)
from sandtop.core.contract.sandbox import SandboxCreate
from sandtop.core.errors import EXIT_SANDTOP_FAILED, SandtopError

from ._args import Parser, count, mebibytes, pair, variable
from ._output import Progress, complain, write, write_json

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any, Final

    from sandtop.core.contract.mount import Mount
    from sandtop.core.contract.sandbox import SandboxAnswer

_EXAMPLES: Final = """\
  sandtop create demo
  sandtop create --image debian:12 web
  sandtop create worker-{1..20}
  sandtop create --memory 1G --cpus 2 --network user --label team=a build
  sandtop create --publish 8080:80 web
  sandtop create --allow git.example.org --allow '*.example.com:443' --allow 192.0.2.7:22 agent
  sandtop create --secret API=env:TOKEN@api.example.com agent   # there $API is a placeholder"""


def add_options(parser: Parser) -> None:
    """Add the options of a new sandbox. Their defaults are the core's."""
    add_shape(parser)
    add = parser.add_argument
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
    add(
        "-p",
        "--publish",
        action="append",
        metavar="PORTS",
        help="[[BIND:]HOSTPORT:]GUESTPORT: a port of this host that leads into it while it runs (repeatable)",
    )
    add(
        "--allow",
        action="append",
        metavar="RULE",
        help="HOST[:PORT] or ADDRESS[/BITS][:PORT] that it may reach, and else nothing (repeatable)",
    )
    add(
        "--secret",
        action="append",
        metavar="SECRET",
        help="NAME=env:VARIABLE@HOST or NAME=file:PATH@HOST: for HOST alone, never in it (repeatable)",
    )
    add_mounts(parser)
    add("--cold", action="store_true", help="boot it, also where a template would start it at once")
    add("--label", action="append", type=pair, metavar="KEY=VALUE", help="label the sandbox (repeatable)")


def add_mounts(parser: Parser) -> None:
    """Add those of what is mounted in it, all of which `mounts` reads."""
    add = parser.add_argument
    add(
        "--mount",
        action="append",
        default=[],
        metavar="KEY=VALUE,…",
        help="mounted while it runs: type=volume, bind or tmpfs, src=NAME or DIR, dst=PATH, ro (repeatable)",
    )
    add(
        "-v",
        "--volume",
        action="append",
        default=[],
        metavar="SRC:DST[:ro]",
        help="the same for a volume's NAME or a folder of this host, ./DIR (repeatable)",
    )
    add(
        "--tmpfs", action="append", default=[], metavar="PATH[:size=64m]", help="memory as files (repeatable)"
    )


def mounts(options: argparse.Namespace) -> list[Mount]:
    """What the options of `add_mounts` say."""
    return [
        *(mount(text) for text in options.mount),
        *(short_mount(text) for text in options.volume),
        *(tmpfs_mount(text) for text in options.tmpfs),
    ]


def add_shape(parser: Parser) -> None:
    """Add those options of a new sandbox that its template depends on."""
    add = parser.add_argument
    add("--cpus", type=count, metavar="N", help="virtual processors")
    add("--memory", type=mebibytes, metavar="SIZE", help="such as 512M or 2G, at least 128M")
    add("--disk", type=mebibytes, metavar="SIZE", help="room for what is written in it, such as 4G")
    add(
        "--network",
        choices=("none", "user", "user:host-loopback", "filtered"),
        help="none (the default), user: out through this host, also to its loopback, or filtered: to what is allowed",
    )
    add("--accelerator", choices=("kvm", "tcg"), help="instead of the best that works here (doctor tells)")


def shape(options: argparse.Namespace) -> dict[str, Any]:
    """The fields for the options of `add_shape`; None where the core's default is meant."""
    return {name: getattr(options, name) for name in ("cpus", "memory", "disk", "network", "accelerator")}


def creation(options: argparse.Namespace, name: str, *, ephemeral: bool = False) -> SandboxCreate:
    """The request for a sandbox ``name`` by the options of `add_options`; None where the core's default is meant."""
    return SandboxCreate(
        name=name,
        image=options.image,
        docker_config=docker_config() if options.image is not None else None,
        **shape(options),
        env=dict(options.env or ()),
        workdir=options.workdir,
        shell=options.shell,
        user=options.user,
        labels=dict(options.label or ()),
        cold=options.cold,
        ephemeral=ephemeral,
        publish=[port_forward(text) for text in options.publish or ()],
        allow=options.allow,
        mounts=mounts(options),
        secrets=[secret(text) for text in options.secret or ()],
    )


def create_main(argv: Sequence[str]) -> int:
    """Make sandboxes, start them, and print the name of each as soon as it runs."""
    parser = Parser("create", "[OPTIONS] NAME…", "Make sandboxes and start them.", _EXAMPLES)
    parser.add_argument("names", metavar="NAME", nargs="+", help="1 to 63 of a-z, 0-9 and -")
    parser.add_argument(
        "--image",
        metavar="NAME",
        help="the image that they start from (base), or one in a registry, as debian:12",
    )
    add_options(parser)
    parser.json()
    options = parser.parse_args(list(argv))
    if len(options.names) > 1:
        return _several(options)
    with Progress() as progress:
        sandbox = call(creation(options, options.names[0]), progress).sandbox
    if options.json:
        write_json(sandbox.to_json())
    else:
        write(f"{sandbox.name}\n")
    return 0


def _several(options: argparse.Namespace) -> int:
    """Make several sandboxes at once. When one fails, the others are made all the same."""
    from ._together import together

    status, made = 0, dict[int, object]()

    def done(place: int, outcome: SandboxAnswer | SandtopError) -> None:
        nonlocal status
        if isinstance(outcome, SandtopError):
            status = EXIT_SANDTOP_FAILED
            complain(outcome)
            return
        made[place] = outcome.sandbox.to_json()
        if not options.json:
            write(f"{options.names[place]}\n")

    together([creation(options, name) for name in options.names], done)
    if options.json:
        write_json([made[place] for place in sorted(made)])
    return status
