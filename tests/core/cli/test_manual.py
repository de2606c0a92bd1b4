"""The man page and the completion scripts in share/ are those of the commands as they are."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from sandtop.core.cli.main import COMMANDS
from sandtop.core.cli.manual import COMPLETIONS, PAGE, page, parsers

SHARE = Path(__file__).parents[3] / "share"


def test_the_page_is_that_of_the_commands() -> None:
    assert (SHARE / PAGE).read_text() == page(), "run: just generate"


def test_the_page_has_every_command_and_the_actions_of_those_that_have_some() -> None:
    names = [parser.prog for parser in parsers()]
    assert {name.split()[1] for name in names} == set(COMMANDS)
    assert {"sandtop image ls", "sandtop image build"} <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not here")
def test_the_page_is_well_formed() -> None:
    done = subprocess.run(
        ["groff", "-ww", "-man", "-Tutf8", "-z", SHARE / PAGE], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", COMPLETIONS)
def test_the_scripts_know_every_command_and_option(shell: str) -> None:
    """Their words depend on the version of shtab that wrote them."""
    script = (SHARE / COMPLETIONS[shell]).read_text()
    words = set(COMMANDS)
    for parser in parsers():
        if len(parser.prog.split()) == 2:
            options = [option for action in parser._actions for option in action.option_strings]
            words |= {option.removeprefix("--") for option in options if option.startswith("--")}
    missing = [word for word in words if word not in script]
    assert missing == [], "run: just generate"
