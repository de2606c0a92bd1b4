"""``sandtop image pull|load|commit|inspect|tag|prune``: the images of containers, and what is kept of them."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager

from sandtop.core.cli import say
from sandtop.core.client.link import call, docker_config, image_source
from sandtop.core.contract.image import ImageCommit, ImageInspect, ImageLoad, ImagePrune, ImagePull, ImageTag
from sandtop.core.errors import InvalidRequest

from ._args import Parser
from ._output import Progress, size, write, write_json

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from typing import Final, TypeVar

    from sandtop.core.contract.record import Record, Request

    Result = TypeVar("Result", bound=Record)

_PULL: Final = """\
  sandtop image pull debian:12
  sandtop image pull ghcr.io/user/image@sha256:…
  sandtop image pull --insecure-registry localhost:5000/tools"""
_LOAD: Final = """\
  docker save myapp | sandtop image load -
  sandtop image load --name myapp image.tar
  sandtop image load ./oci-layout"""
_COMMIT: Final = """\
  sandtop image commit box tools
  sandtop image commit -c 'CMD ["serve"]' -c 'ENV PORT=80' box app:1"""
_PRUNE: Final = """\
  sandtop image prune
  sandtop image prune --all"""


def told(request: Request[Result]) -> Result:
    """The core's answer, with its progress on stderr: one line that changes on a terminal, all lines elsewhere."""
    if not os.isatty(2):
        return call(request, say)
    with Progress() as progress:
        return call(request, progress)


def pull(argv: Sequence[str]) -> int:
    summary = "Fetch a container image from its registry; passwords are those of docker's config.json."
    parser = Parser("image pull", "[OPTIONS] NAME", summary, _PULL)
    parser.add_argument("name", metavar="NAME", help="[REGISTRY/]REPOSITORY[:TAG][@DIGEST]")
    parser.add_argument(
        "--insecure-registry",
        action="store_true",
        help="also without TLS, or with a certificate that nobody vouches for",
    )
    parser.json()
    options = parser.parse_args(list(argv))
    request = ImagePull(name=options.name, docker_config=docker_config(), insecure=options.insecure_registry)
    image = told(request).image
    if options.json:
        write_json(image.to_json())
    else:
        write(f"{image.name}\n")
    return 0


def load(argv: Sequence[str]) -> int:
    summary = "Make images of what docker save writes, of an OCI archive or an OCI layout."
    parser = Parser("image load", "[OPTIONS] FILE|-", summary, _LOAD)
    parser.add_argument(
        "file", metavar="FILE|-", help="a tar, also compressed, the folder of a layout, or - for stdin"
    )
    parser.add_argument(
        "--name", metavar="NAME", help="what the image is to be called, in place of what it says"
    )
    parser.json()
    options = parser.parse_args(list(argv))
    with _file(options.file) as path:
        images = told(ImageLoad(path=path, name=options.name)).images
    if options.json:
        write_json([image.to_json() for image in images])
    else:
        write("".join(f"{image.name}\n" for image in images))
    return 0


@contextmanager
def _file(name: str) -> Generator[str]:
    """The absolute path of FILE. What comes on stdin is in a file meanwhile, for the core to read."""
    if name != "-":
        yield image_source(name)
        return
    if os.isatty(0):
        raise InvalidRequest("stdin is a terminal", hint="such as: docker save IMAGE | sandtop image load -")
    import shutil

    from sandtop.core import paths

    folder = paths.find().layers
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=paths.SPOOLED) as file:
        with open(0, "rb", buffering=0, closefd=False) as stdin:
            shutil.copyfileobj(stdin, file, 1 << 20)
        file.flush()
        yield file.name


def commit(argv: Sequence[str]) -> int:
    summary = "Make an image of what a sandbox holds now. Its programs stand still meanwhile."
    parser = Parser("image commit", "[OPTIONS] SANDBOX NAME", summary, _COMMIT)
    parser.add_argument(
        "-c",
        "--change",
        action="append",
        default=[],
        metavar="LINE",
        help="of a Dockerfile, as 'USER web', for the image's configuration (repeatable)",
    )
    parser.add_argument("sandbox", metavar="SANDBOX", help="a sandbox that runs")
    parser.add_argument("name", metavar="NAME", help="what the image is to be called")
    parser.json()
    options = parser.parse_args(list(argv))
    image = told(ImageCommit(sandbox=options.sandbox, name=options.name, changes=options.change)).image
    if options.json:
        write_json(image.to_json())
    else:
        write(f"{image.name}\n")
    return 0


def inspect(argv: Sequence[str]) -> int:
    summary = "Print all that is known of images, as JSON: layers, and the configuration that they came with."
    parser = Parser("image inspect", "NAME…", summary, "  sandtop image inspect debian:12")
    parser.add_argument("names", metavar="NAME", nargs="+", help="the image")
    parser.json()  # it prints nothing else
    options = parser.parse_args(list(argv))
    found = [call(ImageInspect(name=name)).to_json() for name in options.names]
    write_json(found[0] if len(found) == 1 else found)
    return 0


def tag(argv: Sequence[str]) -> int:
    summary = "Call an image by another name, too."
    parser = Parser("image tag", "NAME NEW", summary, "  sandtop image tag debian:12 base")
    parser.add_argument("name", metavar="NAME", help="the image")
    parser.add_argument("new", metavar="NEW", help="its other name")
    options = parser.parse_args(list(argv))
    write(f"{call(ImageTag(name=options.name, new=options.new), say).image.name}\n")
    return 0


def prune(argv: Sequence[str]) -> int:
    summary = "Free what no image has any more: files, and layers of pulls that were cut off."
    parser = Parser("image prune", "[--all]", summary, _PRUNE)
    parser.add_argument(
        "-a", "--all", action="store_true", help="and the images but base that no sandbox was made of"
    )
    parser.json()
    options = parser.parse_args(list(argv))
    pruned = told(ImagePrune(all=options.all))
    if options.json:
        write_json(pruned.to_json())
    else:
        write("".join(f"{name}\n" for name in pruned.images))
        say(f"{size(pruned.freed)} are free now")
    return 0


ACTIONS: Final[dict[str, Callable[[Sequence[str]], int]]] = {
    "pull": pull,
    "load": load,
    "commit": commit,
    "inspect": inspect,
    "tag": tag,
    "prune": prune,
}
"""What prints the result, by the word after ``sandtop image``."""
