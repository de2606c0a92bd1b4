"""Where the core's socket is."""

from __future__ import annotations

import hashlib
import os
import sys
from typing import TYPE_CHECKING

from sandtop.core.location import runtime_directory

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_each_home_has_a_runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256(os.fsencode(tmp_path)).hexdigest()[:10]
    monkeypatch.setenv("SANDTOP_HOME", f"{tmp_path}/")
    expected = f"sandtop-{os.geteuid()}-{digest}"
    assert os.path.basename(runtime_directory()) == expected
    for name in ("_sha256", "_sha2"):  # a Python that has neither
        monkeypatch.setitem(sys.modules, name, None)
    assert os.path.basename(runtime_directory()) == expected
    monkeypatch.delenv("SANDTOP_HOME")
    assert os.path.basename(runtime_directory()) == f"sandtop-{os.geteuid()}"
