"""``sandtop run``: one command in a sandbox of its own, which is removed afterwards."""

from __future__ import annotations

from sandtop.core.cli import say
from sandtop.core.client.link import Link, call, hold, image_command, new_id, takes_input
from sandtop.core.client.session import Following
from sandtop.core.contract.image import ImageInspect
from sandtop.core.contract.sandbox import SandboxRemove
from sandtop.core.errors import InvalidRequest, NotFound, SandtopError

from . import create
from ._args import Parser, split
from ._exec_options import add_shared_options
from ._exec_request import throw_away
from ._output import Progress
from ._relay import Relay, screen_for
from ._signals import Signals
from ._status import status_of

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Final

_EXAMPLES: Final = """\
  sandtop run -- python3 -c "print('hello')"
  sandtop run --network user --memory 1G myimage -- make test
  sandtop run --allow deb.debian.org -- apt-get update
  sandtop run debian:12 -- cat /etc/os-release
  sandtop run -t -i --entrypoint bash ghcr.io/user/image:tag
  echo data | sandtop run -i -- wc -c"""


def run_main(argv: Sequence[str]) -> int:
    """Run a command in a throw-away sandbox. Returns the command's exit status."""
    head, command = split(argv)
    parser = Parser(
        "run", "[OPTIONS] [IMAGE] [-- CMD [ARG…]]", "Run one command in a throw-away sandbox.", _EXAMPLES
    )
    add_shared_options(parser)
    create.add_options(parser)
    parser.add_argument(
        "image", metavar="IMAGE", nargs="?", help="the image that it starts from (base), or one in a registry"
    )
    parser.add_argument(
        "--entrypoint", metavar="PROGRAM", help="run this in place of what the image says, with CMD behind it"
    )
    options = parser.parse_args(head)
    if not command and not (options.image or options.entrypoint):
        raise InvalidRequest(
            "no command was given", hint="such as: sandtop run -- python3 -c \"print('hello')\""
        )
    return _run(options, command or [])


def _run(options: argparse.Namespace, command: list[str]) -> int:
    name = f"run-{new_id()[:10]}"
    with Signals() as signals, _Hold(name) as held:
        try:
            with Progress() as progress:
                call(create.creation(options, name, ephemeral=True), progress)
            command = _command(options, command)
            signals.forward()
            return _execute(options, command, name, signals, held)
        finally:
            signals.hold()
            _remove(name)


def _command(options: argparse.Namespace, command: list[str]) -> list[str]:
    """What is run: as ``docker run`` has it, where the image is a container's."""
    config = None if options.image is None else call(ImageInspect(name=options.image)).config
    return image_command(options.image or "base", config, command, options.entrypoint)


def _execute(
    options: argparse.Namespace, command: list[str], name: str, signals: Signals, held: _Hold
) -> int:
    message = throw_away(options, name, command)
    following, screen = Following(message, stdin=takes_input(message)), screen_for(message["tty"] is not None)
    relay = Relay(following, name, signals, screen=screen, owned=True, connected=held.renew)
    return status_of(relay.relay(), name)


class _Hold:
    """A connection to the core, by whose end the core removes the sandbox. Used as a context.

    So the sandbox is removed also when this process is killed.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._link: Link | None = None

    def __enter__(self) -> _Hold:
        return self

    def __exit__(self, *_: object) -> None:
        if self._link is not None:
            self._link.close()

    def renew(self) -> None:
        """Hold the sandbox at the core that runs now: one that was restarted knows nothing of earlier connections."""
        link = hold(self._name)
        if self._link is not None:
            self._link.close()
        self._link = link


def _remove(name: str) -> None:
    try:
        call(SandboxRemove(sandbox=name, force=True))
    except NotFound:
        pass  # it was never made, or the core has removed it already
    except SandtopError as error:
        say(f"the throw-away sandbox could not be removed: {error}")
