"""``sandtop update``: changes what a sandbox was made with."""

from __future__ import annotations

from sandtop.core.client.link import call
from sandtop.core.contract.sandbox import SandboxUpdate

from ._args import Parser, mebibytes
from ._output import Progress, write, write_json

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence


def update_main(argv: Sequence[str]) -> int:
    """Give a sandbox a larger disk, while it runs or not."""
    summary = "Give a sandbox a larger disk. One that runs has it at once."
    parser = Parser("update", "[OPTIONS] NAME", summary, "  sandtop update --disk 20G demo")
    parser.add_argument("name", metavar="NAME", help="the sandbox")
    parser.add_argument(
        "--disk", type=mebibytes, metavar="SIZE", required=True, help="no smaller than it is, such as 20G"
    )
    parser.json()
    options = parser.parse_args(list(argv))
    with Progress() as progress:
        sandbox = call(SandboxUpdate(sandbox=options.name, disk=options.disk), progress).sandbox
    if options.json:
        write_json(sandbox.to_json())
    else:
        write(f"{sandbox.name}\n")
    return 0
