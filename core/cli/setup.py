"""``sandtop setup``: from an installed package to a machine on which sandboxes start."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from sandtop.core import paths
from sandtop.core.cli import say
from sandtop.core.errors import MissingDependency
from sandtop.core.place import here, how_to_install

from ._args import Parser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.core.guest import GuestStore

_EXAMPLES: Final = """\
  sandtop setup          # says what it is going to do, and asks before it installs packages
  sandtop setup --yes    # does not ask"""


def setup_main(argv: Sequence[str]) -> int:
    """Install and build what is missing."""
    parser = Parser(
        "setup",
        "[--yes]",
        "Install the packages that sandboxes need, and build what they boot from. What is there already stays.",
        _EXAMPLES,
    )
    parser.add_argument("--yes", "-y", action="store_true", help="install packages without asking")
    options = parser.parse_args(list(argv))
    refusal = here().refusal
    if refusal is not None:
        raise MissingDependency(refusal)
    # after the look: some of what these import is there on Linux alone
    from sandtop.core import setup
    from sandtop.core.doctor import release_of
    from sandtop.core.guest import GuestStore

    packages = setup.missing()
    if packages:
        _install(packages, ask=not options.yes)
    os.umask(0o022)  # as the core has it: machines read what is built here
    found = paths.find()
    found.ensure()
    store = GuestStore(found, release=release_of(found))
    _build(store)
    say("all is set up: sandtop run -- python3 -c \"print('hello')\"")
    return 0


def _install(packages: Sequence[str], *, ask: bool) -> None:
    from sandtop.core import setup

    place = here()
    words = " ".join(packages)
    if place.untried is not None:
        say(place.untried)
    if not place.has_apt:
        how = how_to_install(*packages)
        raise MissingDependency(
            f"these packages are missing: {words}", hint=f"{how}; then run: sandtop setup"
        )
    say(f"these Debian packages are missing{setup.cost(packages)}: {words}")
    if ask:
        if not (os.isatty(0) and os.isatty(2)):
            raise MissingDependency("nobody is here to ask about them", hint="run: sandtop setup --yes")
        os.write(2, b"Install them? [y/N] ")
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            by_hand = how_to_install(*packages)
            raise MissingDependency("nothing was installed", hint=f"by hand: {by_hand}; then: sandtop setup")
    setup.install(packages)
    left = setup.missing()
    if left:
        raise MissingDependency(f"still missing after apt-get: {' '.join(left)}", hint="see: sandtop doctor")


def _build(store: GuestStore) -> None:
    from sandtop.core.guest import COST

    lacking = store.lacking()
    if lacking:
        say(f"building {lacking} from Debian {store.release}: {COST}, in {store.paths.cache}")
    store.build(say)
