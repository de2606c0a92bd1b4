"""``sandtop core``: the daemon that all commands talk to. It is started by the first command that needs it."""

from __future__ import annotations

from sandtop import __version__
from sandtop.core.cli import say
from sandtop.core.client.link import call, call_running, launch, new_id, stop_core
from sandtop.core.contract.core import CoreStatus, Metrics, Status
from sandtop.core.errors import InvalidRequest, WrongState

from ._args import Parser
from ._output import age, write, write_json

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

_EXAMPLES: Final = """\
  sandtop core status
  sandtop core start --channel virtio-serial
  sandtop core stop          # sandboxes go on running; the next command starts a core again
  sandtop core stop --all    # stops them too
  sandtop core start --metrics 127.0.0.1:9464"""
NOT_RUNNING: Final = 1
"""The exit status of ``core status`` when no core runs."""


def core_main(argv: Sequence[str]) -> int:
    """Start or stop the core, or show its status."""
    parser = Parser("core", "start|stop|status [OPTIONS]", "Start, stop and question the core.", _EXAMPLES)
    parser.add_argument("action", choices=("start", "stop", "status"), metavar="start|stop|status")
    parser.add_argument("--all", action="store_true", help="with stop: stop every sandbox first")
    parser.add_argument(
        "--channel",
        choices=("auto", "vsock", "virtio-serial"),
        help="with start: between the core and agents, instead of the setting",
    )
    parser.add_argument(
        "--metrics",
        metavar="ADDRESS",
        help="with start: serve metrics for Prometheus on unix:PATH or 127.0.0.1:PORT, until it is stopped; or off",
    )
    parser.json()
    options = parser.parse_args(list(argv))
    if options.metrics is not None and options.action != "start":
        raise InvalidRequest("--metrics goes with start", hint="see 'sandtop core --help'")
    if options.action == "stop":
        if not stop_core(machines=options.all):
            say("the core is not running")
        return 0
    if options.action == "start":
        if options.channel is not None:
            if call_running(Status()) is not None:
                raise WrongState(
                    "the core runs already, and keeps its channel",
                    hint="sandtop core stop, then start it anew; sandboxes go on meanwhile",
                )
            launch(options.channel)
        if options.metrics is not None:
            call(Metrics(address=options.metrics, request_id=new_id()))
        return _show(call(Status()), as_json=options.json)
    status = call_running(Status())
    if status is None:
        if options.json:
            write_json({"pid": None, "version": __version__})
        say("the core is not running")
        return NOT_RUNNING
    return _show(status, as_json=options.json)


def _show(status: CoreStatus, *, as_json: bool) -> int:
    if as_json:
        write_json(status.to_json())
    else:
        write(
            f"running since {age(status.started_at)} as process {status.pid}, version {status.version}, "
            f"{status.running} of {status.sandboxes} sandboxes running, "
            f"{status.standing_by} machines in the warm pool\n"
            f"home {status.home}, socket {status.socket}\n"
        )
    return 0
