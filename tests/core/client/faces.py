"""Writes the lists of names in the faces of the SDK, and its page's table of functions (`just generate`).

The functions are those of `sync_source.FUNCTIONS`; the classes are what ``core/client/sdk/__init__.py`` imports for the
type checker. ``sandtop`` and ``sandtop.sync`` pass the same names on. The lists are spelled out, because that is what
type checkers read, and what costs nothing at run time.
"""

from __future__ import annotations

import ast
import re
import textwrap
from typing import TYPE_CHECKING, Final

from .sync_source import CLASSES, FUNCTIONS, ROOT, coroutines, formatted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

ASYNC: Final = ROOT / "core" / "client" / "sdk" / "__init__.py"
PACKAGE: Final = ROOT / "src" / "sandtop" / "__init__.py"
PAGE: Final = ROOT / "docs" / "sdk.md"
SYNC: Final = ROOT / "src" / "sandtop" / "sync.py"
INSIDE: Final = {"checked", "outcomes"}
"""What the SDK has for the CLI alone."""
ONLY_ASYNC: Final = {
    "LogStream": "for who draws a session in an event loop of its own; `Sandbox.logs` and `follow` read one",
    "MergedLogStream": "likewise; `merged_logs` reads one",
    "Overview": "likewise; `Sandbox.list` and `sessions` list",
    "Redrawn": "what a TerminalStream gives",
    "TerminalStream": "likewise; `attach_session` attaches",
}
_SDK: Final = "sandtop.core.client.sdk"
_ERRORS: Final = "sandtop.core.errors"


def renewed() -> dict[Path, str]:
    """The text that each face, and the page, should have."""
    functions = {file.removesuffix(".py"): set(coroutines(file)) for file in FUNCTIONS}
    sdk = _renewed(ASYNC, functions)
    names = set[str]().union(*_imports(sdk).values()) - INSIDE
    package = _renewed(PACKAGE, {_SDK: names})
    plain = names & {*CLASSES, *set[str]().union(*functions.values())}
    sync = _renewed(
        SYNC,
        {
            _SDK: names - plain - ONLY_ASYNC.keys(),
            "sandtop.core.client.sync": plain,
            _ERRORS: _imports(package)[_ERRORS],
        },
    )
    return {ASYNC: sdk, PACKAGE: package, SYNC: sync, PAGE: _page()}


def _renewed(path: Path, given: Mapping[str, Iterable[str]]) -> str:
    """The file's text: it imports ``given`` of these modules, and its lists name what it imports."""
    text = path.read_text()
    for node in _import_statements(text):
        names = given.get(node.module or "")
        if names is not None:
            whole = f"from {'.' * node.level}{node.module} import {', '.join(sorted(names))}"
            text = _replaced(text, node, textwrap.indent(whole, " " * node.col_offset))
    home = _imports(text)
    others = {"__version__"} if "\n__version__ = " in text else set[str]()
    lists = {
        "_HOME": "_HOME = {\n" + "".join(_entry(module, home[module]) for module in sorted(home)) + "}",
        "__all__": "__all__ = [\n" + _filled(others.union(*home.values()), 4) + "\n]",
    }
    for name, written in lists.items():
        for assigned in ast.parse(text).body:
            if isinstance(assigned, ast.Assign) and ast.unparse(assigned.targets[0]) == name:
                text = _replaced(text, assigned, f"{written}  # fmt: skip")
    return formatted(text, path)


def _page() -> str:
    """docs/sdk.md with a row for each function."""
    nodes = {name: node for file in FUNCTIONS for name, node in coroutines(file).items()}
    rows = "".join(_row(nodes[name]) for name in sorted(nodes))
    table = re.compile(r"(\| function \|.*\n\|-.*\n)(?:\|.*\n)*")
    text, count = table.subn(lambda head: head[1] + rows, PAGE.read_text())
    if count != 1:
        raise ValueError("docs/sdk.md needs one table with the head 'function'")
    return text


def _row(node: ast.AsyncFunctionDef | ast.FunctionDef) -> str:
    arguments = ast.parse(ast.unparse(node.args).join(["def f(", "): ..."]))
    for one in ast.walk(arguments):
        if isinstance(one, ast.arg):
            one.annotation = None
    signature = ast.unparse(arguments).removeprefix("def f").partition("):")[0] + ")"
    words = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split()).replace("``", "`")
    return f"| `{node.name}{signature}` | {words} |\n"


def _import_statements(text: str) -> list[ast.ImportFrom]:
    """Those for the type checker, or of a module that has none for it all but ``__future__``, from the last one up."""
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    guarded = [node for node in found if node.col_offset]
    chosen = guarded or [node for node in found if node.module != "__future__"]
    return sorted(chosen, key=lambda node: -node.lineno)


def _imports(text: str) -> dict[str, set[str]]:
    """The names that are imported from each module."""
    return {node.module or "": {one.name for one in node.names} for node in _import_statements(text)}


def _replaced(text: str, node: ast.stmt, by: str) -> str:
    lines = text.splitlines()
    lines[node.lineno - 1 : node.end_lineno] = [by]
    return "\n".join(lines) + "\n"


def _entry(module: str, names: set[str]) -> str:
    line = ", ".join(f'"{name}"' for name in sorted(names)) + ("," if len(names) == 1 else "")
    short = f'    "{module}": ({line}),\n'
    return short if len(short) <= 120 else f'    "{module}": (\n{_filled(names, 8)}\n    ),\n'


def _filled(names: Iterable[str], indent: int) -> str:
    line = ", ".join(f'"{name}"' for name in sorted(names)) + ","
    return textwrap.fill(line, 119, initial_indent=" " * indent, subsequent_indent=" " * indent)


if __name__ == "__main__":
    for face, contents in renewed().items():
        face.write_text(contents)
