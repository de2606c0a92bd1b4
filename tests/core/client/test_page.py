"""Every piece of code in docs/sdk.md runs as it stands, under asyncio and trio."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandtop import Sandbox

if TYPE_CHECKING:
    from ..conftest import RealCore

PAGE = Path(__file__).parents[3] / "docs" / "sdk.md"

pytestmark = [pytest.mark.anyio, pytest.mark.vm]


def blocks() -> list[str]:
    """The page's pieces of Python, in order."""
    return re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


async def execute(source: str, names: dict[str, Any]) -> None:
    """Run ``source``, in which ``await`` may stand at the top, with ``names``, which it may add to."""
    code = compile(source, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, names)
    if inspect.iscoroutine(result):
        await result


async def test_the_page_as_written(
    real: RealCore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sb = await Sandbox.get("demo")
    names: dict[str, Any] = {"sb": sb}
    first, *others = blocks()
    assert "Sandbox.create" in first
    await execute(first.replace('"demo"', '"page"'), names)
    names["sb"] = sb
    for block in others:
        await execute(textwrap.dedent(block), names)
    said = capsys.readouterr().out
    assert said.startswith("page running\nheld\n\nhello\n\n0\n1\n2\n3\n143\n")
    assert "page" not in [sandbox.name for sandbox in await Sandbox.list()]
