"""``sandtop image build``: of a directory or a tar, or of a Dockerfile, which is built by the SDK."""

from __future__ import annotations

import os

from sandtop.core.client.link import image_source
from sandtop.core.contract.image import ImageBuild
from sandtop.core.errors import InvalidRequest

from ._args import Parser, variable
from ._containers import told
from ._output import write, write_json
from ._text import visible
from .create import add_shape

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from typing import Final

    from sandtop.core.contract.image import ImageInfo

_EXAMPLES: Final = """\
  sandtop image build tools --from ./rootfs
  sandtop image build -t app .
  sandtop image build -f Dockerfile.dev --build-arg VERSION=3 --network user -t app:dev ."""
_OF_A_DOCKERFILE: Final = (
    "file", "build_arg", "no_cache", "cpus", "memory", "disk", "network", "accelerator",
)  # fmt: skip
_SUMMARY: Final = (
    "Make an image of a Dockerfile, a directory or a tar file; NAME base without --from is Debian."
)


def build(argv: Sequence[str], warm: Callable[[str], None]) -> int:
    """Build an image; with ``--warm`` call ``warm`` with its name then."""
    parser = Parser("image build", "NAME [--from DIR|TAR] | [-t NAME] [-f FILE] CONTEXT", _SUMMARY, _EXAMPLES)
    add = parser.add_argument
    add("--warm", action="store_true", help="then 'sandtop image warm NAME'")
    add("--from", dest="source", metavar="DIR|TAR", help="the file system")
    add(
        "-t",
        "--tag",
        metavar="NAME",
        help="what the image of a Dockerfile is to be called (the folder's name)",
    )
    add("-f", "--file", metavar="FILE", help="the Dockerfile (CONTEXT/Dockerfile)")
    add("--build-arg", action="append", type=variable, metavar="NAME=VALUE", help="for an ARG (repeatable)")
    add("--no-cache", action="store_true", help="take all steps, also those that were taken before")
    add_shape(parser)
    add(
        "name", metavar="NAME|CONTEXT", help="the image's name; with -t or -f the folder that COPY takes from"
    )
    parser.json()
    options = parser.parse_args(list(argv))
    image = _of_a_dockerfile(options) if options.tag or options.file else _of_files(options)
    if options.warm:
        warm(image.name)
    if options.json:
        write_json(image.to_json())
    else:
        write(f"{image.name}\n")
    return 0


def _of_files(options: argparse.Namespace) -> ImageInfo:
    name = options.name
    if wrong := next((word for word in _OF_A_DOCKERFILE if getattr(options, word)), None):
        raise InvalidRequest(
            f"--{wrong.replace('_', '-')} is for a Dockerfile", hint="sandtop image build -t NAME CONTEXT"
        )
    if options.source is None and name != "base":
        hint = "only 'base' is built without it"
        if os.path.exists(os.path.join(name, "Dockerfile")):
            hint = f"for its Dockerfile: sandtop image build -t NAME {name}"
        raise InvalidRequest(f"--from is missing: what is {name} to be made of?", hint=hint)
    source = None if options.source is None else image_source(options.source)
    return told(ImageBuild(name=name, source=source)).image


def _of_a_dockerfile(options: argparse.Namespace) -> ImageInfo:
    import anyio

    from sandtop.core.client.sdk import build_dockerfile

    if options.source is not None:
        raise InvalidRequest("--from is a file system, and a Dockerfile says itself what it is from")
    if options.network == "filtered":
        raise InvalidRequest(
            "--network of a build is none, user or user:host-loopback: nothing says what to allow"
        )
    name = options.tag or os.path.basename(os.path.realpath(options.name)).lower()

    async def build_it() -> ImageInfo:
        return await build_dockerfile(
            options.name,
            name,
            dockerfile=options.file,
            arguments=dict(options.build_arg or ()),
            cache=not options.no_cache,
            cpus=options.cpus,
            memory=options.memory,
            disk=options.disk,
            network=options.network,
            accelerator=options.accelerator,
            progress=_show,
        )

    return anyio.run(build_it)


def _show(line: str) -> None:
    """Print a line of a build on stderr. A terminal that is gone is no error."""
    try:
        os.write(2, f"{visible(line)}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        return
