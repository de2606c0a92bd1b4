"""Real machines for the benchmark, in a home of their own: what `run.py` measures with ``--home``.

``python bench/console/real.py HOME --machines 30 --terminals 200`` starts them and returns; ``--end`` ends them all.
Each sandbox has written a screenful in its newest session, and together they run as many terminals as was asked for.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from sandtop.core import paths
from sandtop.core.client.link import stop_core
from sandtop.sync import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINE = r"\033[32mINFO\033[0m  GET /api/v1/things/$n took \033[1m$((n % 300)) ms\033[0m\n"
_SCRIPT = f"""
n=0
while [ $n -lt 20 ]; do n=$((n+1)); printf "{_LINE}"; done
echo "shown by $0"
echo ready
exec sleep 99999
"""


def boxes(machines: int) -> Iterator[str]:
    return (f"box-{number:03}" for number in range(machines))


def fill(machines: int, terminals: int) -> None:
    """Start them."""
    share, more = divmod(terminals, machines)
    for number, name in enumerate(boxes(machines)):
        box = Sandbox.create(name, memory=128)
        for one in range(share + (number < more)):
            box.exec_detached("sh", ("-c", _SCRIPT, f"{name}/{one}"), tty=True)
        box.exec_detached("sh", ("-c", _SCRIPT, name), tty=number % 3 == 0)
        print(name, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("home", type=Path, help="a folder, which need not be there")
    parser.add_argument("--machines", type=int, default=30)
    parser.add_argument("--terminals", type=int, default=200)
    parser.add_argument("--end", action="store_true", help="end what is there")
    options = parser.parse_args()
    cache = paths.find().cache
    options.home.mkdir(exist_ok=True)
    if not (options.home / "cache").exists():
        (options.home / "cache").symlink_to(cache)
    os.environ["SANDTOP_HOME"] = str(options.home.absolute())
    if options.end:
        stop_core(machines=True)
    else:
        fill(options.machines, options.terminals)


if __name__ == "__main__":
    main()
