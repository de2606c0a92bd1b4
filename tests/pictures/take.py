"""Take the README's pictures: ``just picture``. The console at real work, on real machines, driven as a person would.

It has a home of its own (with the cache that everybody shares), starts sandboxes and what runs in them, presses keys in
consoles on terminals of its own, and ends everything. What shows in docs/pictures is real: figures and times differ
from run to run, and the scene does not.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.pictures.terminal import Terminal

from sandtop.core import paths

if TYPE_CHECKING:
    from collections.abc import Generator

HERE = Path(__file__).parent
PICTURES = HERE.parents[1] / "docs" / "pictures"
F12, ENTER = "\x1b[24~", "\r"
SANDBOXES: dict[str, tuple[str, ...]] = {
    "orders": ("--label", "team=shop", "--cpus", "2"),
    "train": ("--label", "team=data"),
    "settle": ("--label", "team=shop"),
    "report": ("--label", "team=data"),
    "deploy": ("--label", "team=shop"),
    "review": ("--label", "pr=318"),
    "notebook": (),
    "staging": (),
}
"""What each is created with; those with a label have work to do."""
WORK: dict[str, tuple[str, ...]] = {
    "orders": ("-d", "orders", "--", "python3", "serve.py"),
    "train": ("-d", "train", "--", "python3", "train.py"),
    "settle": ("-d", "settle", "--", "python3", "settle.py"),
    "report": ("-d", "report", "--", "python3", "report.py"),
    "deploy": ("-dt", "deploy", "--", "sh", "deploy.sh"),
}
"""What runs in each."""


class Home:
    """A home of its own; ``environment`` is for whatever is to use it."""

    def __init__(self, folder: Path, cache: Path) -> None:
        (folder / "cache").symlink_to(cache)
        colours = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.environment = {**os.environ, **colours, "SANDTOP_HOME": str(folder)}

    def sandtop(self, *arguments: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "sandtop", *arguments],
            env=self.environment, check=True, stdout=subprocess.DEVNULL, timeout=180,
        )  # fmt: skip

    def console(self, columns: int, rows: int) -> Terminal:
        return Terminal([sys.executable, "-m", "sandtop"], columns, rows, self.environment)


@contextmanager
def home() -> Generator[Home]:
    """Everything in it has ended after the block."""
    cache = paths.find().cache
    with tempfile.TemporaryDirectory(prefix="sandtop-picture-") as folder:
        made = Home(Path(folder), cache)
        try:
            yield made
        finally:
            made.sandtop("core", "stop", "--all")


def work(home: Home) -> None:
    """Sandboxes, each at something else: two that serve and compute, two that failed, one that asks, two that rest."""
    for name, options in SANDBOXES.items():
        print(f"    {name}", flush=True)
        home.sandtop("create", name, *options)
        if options:
            home.sandtop("cp", *map(str, sorted((HERE / "work").iterdir())), f"{name}:/srv/")
    home.sandtop("pause", "notebook")
    home.sandtop("stop", "staging")
    for command in WORK.values():
        home.sandtop("exec", "-w", "/srv", *command)


def to_row(console: Terminal, name: str) -> None:
    """Put the cursor of the list on the sandbox ``name``, from the top down."""
    console.press("g")
    for _ in range(len(SANDBOXES) + 1):
        if console.shows(f"❯ {name} "):
            return
        console.press("j")
        time.sleep(0.5)
    console.see(f"❯ {name} ")


def at_prompt(screen: str) -> bool:
    """Whether the shell in the only pane waits for a command."""
    return any(line.strip(" ▌") == "#" for line in screen.splitlines())


def fleet(home: Home) -> str:
    """The list, and beside it what the sandbox under the cursor writes."""
    with home.console(120, 34) as console:
        console.see("3 need you")
        to_row(console, "orders")
        console.until(lambda screen: screen.count("GET /orders/") > 10, "the log of the service")
        time.sleep(3)  # the sparklines begin
        return console.svg()


def panes(home: Home) -> str:
    """A log, and beside it a shell that somebody works in."""
    with home.console(152, 36) as console:
        console.see("need you")
        to_row(console, "review")
        console.press("a")
        console.see("F12 out")
        for command in ("cd /srv", "ls", "python3 -m unittest check_orders"):
            console.until(at_prompt, "a prompt")
            console.press(*command, ENTER)
        console.see("FAILED (failures=1)")
        console.press(F12, "q")
        console.see("❯ review")
        to_row(console, "orders")
        console.press("l")
        console.until(lambda screen: screen.count("GET /orders/") > 20 and "FAILED" in screen, "both panes")
        console.press(*"/ERROR", ENTER)
        console.until(
            lambda screen: re.search(r"/ERROR +\d+/[1-9]", screen) is not None, "the matches, counted"
        )
        return console.svg()


def main() -> int:
    PICTURES.mkdir(exist_ok=True)
    with home() as made:
        print("==> Starting sandboxes", flush=True)
        work(made)
        for take in (panes, fleet):
            print(f"==> Taking the picture of the {take.__name__}", flush=True)
            (PICTURES / f"{take.__name__}.svg").write_text(take(made))
    print(f"==> They are in {PICTURES}: look at them before you commit them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
