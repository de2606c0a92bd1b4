"""What `just nested` says before it starts anything; what it does then is seen by running it."""

from __future__ import annotations

import os
import shutil

import pytest
from tests.nested import run, suite
from tests.nested.outer import CHECKOUT


def test_its_tests_are_there() -> None:
    named = {word.partition("::")[0] for words in suite.RUNS.values() for word in words}
    assert [path for path in named if not (CHECKOUT / path).is_file()] == []


@pytest.mark.parametrize(
    ("uid", "there", "said"),
    [
        (1000, True, "nested: it makes a root file system and runs programs in it: run it as root\n"),
        (0, False, "nested: this host lacks mmdebstrap: run ./bootstrap setup\n"),
    ],
)
def test_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], uid: int, there: bool, said: str
) -> None:
    def which(name: str) -> str | None:
        return f"/usr/bin/{name}" if there or name != "mmdebstrap" else None

    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(shutil, "which", which)
    assert run.main(["test"]) == 125
    assert capsys.readouterr().err == said
