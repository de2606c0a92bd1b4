"""``sandtop run``: one command in a sandbox of its own, which is gone afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandtop.core.client.blocking import call
from sandtop.core.client.exchange import new_id, request
from sandtop.core.client.following import Following
from sandtop.core.errors import InvalidRequest, NotFound, SandtopError

from . import _exec_options as execution
from . import create
from ._args import Parser, split
from ._output import Progress, say
from ._relay import Relay
from ._signals import Signals
from .exec import status_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

_EXAMPLES: Final = """\
  sandtop run -- python3 -c "print('hello')"
  sandtop run --network user --memory 1G myimage -- make test
  echo data | sandtop run -i -- wc -c"""


def run_main(argv: Sequence[str]) -> int:
    """Run a command in a throw-away sandbox; its exit status comes back."""
    head, command = split(argv)
    parser = Parser(
        "run", "[OPTIONS] [IMAGE] -- CMD [ARG…]", "Run one command in a throw-away sandbox.", _EXAMPLES
    )
    execution.add_shared_options(parser)
    create.add_options(parser)
    parser.add_argument("image", metavar="IMAGE", nargs="?", help="the image that it starts from (base)")
    options = parser.parse_args(head)
    if not command:
        raise InvalidRequest(
            "no command was given", hint="such as: sandtop run -- python3 -c \"print('hello')\""
        )
    return _run(options, command)


def _run(options: argparse.Namespace, command: list[str]) -> int:
    name = f"run-{new_id()[:10]}"
    with Signals() as signals:
        try:
            with Progress() as progress:
                wanted = {"name": name, "image": options.image, "ephemeral": True, **create.fields(options)}
                call("sandbox.create", wanted, progress)
            fields = execution.shared_fields(options, name)
            # cwd, user, environment and limits are the sandbox's own: nothing else runs in it
            fields.update({"argv": command, "detach": False, "on_hangup": "kill"})
            interactive = fields["stdin"] is True or fields["tty"] is not None
            following = Following(request("session.exec", fields), stdin=interactive)
            signals.forward()
            result = Relay(following, name, signals, raw=fields["tty"] is not None, owned=True).run()
            return status_of(result, name)
        finally:
            signals.hold()
            _remove(name)


def _remove(name: str) -> None:
    try:
        call("sandbox.rm", {"sandbox": name, "force": True})
    except NotFound:
        pass  # the core was faster: a throw-away sandbox ends with its session
    except SandtopError as error:
        say(f"the throw-away sandbox could not be removed: {error}")
