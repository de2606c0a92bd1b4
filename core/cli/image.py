"""``sandtop image``: the images that sandboxes start from."""

from __future__ import annotations

from sandtop.core.cli import say
from sandtop.core.client.link import call
from sandtop.core.contract.image import ImageList, ImageRemove, ImageWarm

from ._args import Parser
from ._containers import ACTIONS
from ._output import Progress, age, size, table, write, write_json
from .create import add_shape, shape

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from sandtop.core.contract.image import ImageInfo

_WORDS: Final = "ls|pull|load|build|commit|warm|inspect|tag|rm|prune"
_EXAMPLES: Final = """\
  sandtop image ls
  sandtop image pull debian:12
  docker save myapp | sandtop image load -
  sandtop image build tools --from ./rootfs --warm
  sandtop image build -t app .
  sandtop image commit box tools
  sandtop image warm tools --memory 1G
  sandtop image rm tools"""


def image_main(argv: Sequence[str]) -> int:
    """List, pull, load, build, prepare or remove images."""
    actions = {"ls": _list, "build": _build, "warm": _warm, "rm": _remove, **ACTIONS}
    action = actions.get(argv[0]) if argv else None
    if action is None:
        parser = Parser("image", f"{_WORDS} …", "What sandboxes start from.", _EXAMPLES)
        parser.add_argument("action", choices=_WORDS.split("|"), metavar=_WORDS)
        parser.parse_args(list(argv))
        raise AssertionError("argparse took an action that is not there")
    return action(argv[1:])


def _list(argv: Sequence[str]) -> int:
    parser = Parser("image ls", "[OPTIONS]", "List the images.", "  sandtop image ls --json")
    parser.json()
    options = parser.parse_args(list(argv))
    images = call(ImageList()).images
    if options.json:
        write_json([{**image.to_json(), "release": _release(image)} for image in images])
    else:
        rows = [_row(image) for image in images]
        table(("name", "digest", "size", "release", "templates", "warm", "age"), rows)
    return 0


def _row(image: ImageInfo) -> tuple[object, ...]:
    return (
        image.name,
        image.digest[:19],
        size(image.size),
        _release(image) or "-",
        _templates(image),
        image.standing_by or "-",
        age(image.created_at),
    )


def _release(image: ImageInfo) -> str | None:
    """The Debian release of ``base``, as its source names it; the source of other images is a path."""
    source = image.source or ""
    return source.split()[1].rstrip(",") if source.startswith("Debian ") else None


def _templates(image: ImageInfo) -> str:
    """How many templates the image has, the disk space that they take, and how many of them are outdated."""
    count = image.templates
    outdated = f", {image.templates_outdated} outdated" if image.templates_outdated else ""
    return f"{count} ({size(image.template_size)}{outdated})" if count else "-"


def _build(argv: Sequence[str]) -> int:
    from . import _building

    return _building.build(argv, lambda name: _prepare(ImageWarm(image=name)))


def _prepare(request: ImageWarm) -> None:
    with Progress() as progress:
        call(request, progress)


def _warm(argv: Sequence[str]) -> int:
    summary = "Prepare an image, so that the first sandbox of a shape starts as fast as all later ones."
    parser = Parser("image warm", "[OPTIONS] [NAME]", summary, "  sandtop image warm tools --memory 1G")
    parser.add_argument("name", metavar="NAME", nargs="?", default="base", help="the image (base)")
    add_shape(parser)
    options = parser.parse_args(list(argv))
    _prepare(ImageWarm(image=options.name, **shape(options)))
    write(f"{options.name}\n")
    return 0


def _remove(argv: Sequence[str]) -> int:
    parser = Parser("image rm", "NAME…", "Remove images that no sandbox uses.", "  sandtop image rm tools")
    parser.add_argument("names", metavar="NAME", nargs="+", help="the image")
    options = parser.parse_args(list(argv))
    for name in options.names:
        call(ImageRemove(name=name), say)
        write(f"{name}\n")
    return 0
