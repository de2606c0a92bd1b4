"""Writes ``core/client/sync.py``, the synchronous SDK, after the async one (`just generate`).

Its methods have the same names, arguments and docstrings without ``await``; `sandtop.core.client._portal` runs them.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
SDK: Final = ROOT / "core" / "client" / "sdk"
TARGET: Final = ROOT / "core" / "client" / "sync.py"

CLASSES: Final = {
    "Stdin": (["process.py"], ["Stdin"]),
    "Process": (["process.py"], ["Process"]),
    "Files": (["files.py"], ["Files"]),
    "Connection": (["connection.py"], ["Connection"]),
    "Sandbox": (
        [
            "sandbox.py",
            "execute.py",
            "attach.py",
            "screen.py",
            "copying.py",
            "sandbox_sessions.py",
            "networked.py",
            "committing.py",
        ],
        [
            "Sandbox",
            "Executing",
            "Attachable",
            "Terminals",
            "Copyable",
            "Sessions",
            "Networked",
            "Committable",
        ],
    ),
}
FUNCTIONS: Final = ("core.py", "image.py", "together.py", "volume.py", "watching.py")
HERE: Final = {"attach", "attach_shell", "attach_session"}
"""What needs this process's signals and terminal: it runs on the caller's own thread."""
LEFT_OUT: Final = {"abandon", "started", "stands"}
"""What only the async SDK itself calls: `exec_stream`, `follow` and `connect` have done it."""
TYPES: Final = {
    "AsyncIterable[bytes]": "Iterable[bytes]",
    "Callable[[bytes], Awaitable[object]]": "Callable[[bytes], object]",
    "AsyncGenerator[None]": "AbstractContextManager[None]",
    "AsyncGenerator[Sequence[PortForward]]": "AbstractContextManager[Sequence[PortForward]]",
    "Copyable": "Sandbox",
    "Networked": "Sandbox",
    "Scope": "Literal['leader', 'group', 'all']",
    "OnExit": "Literal['kill', 'detach']",
    "Size": "tuple[int, int]",
    "StderrTo": "Literal['stdout']",
    "Path": "str | os.PathLike[str]",
    "Progress": "Callable[[int], None]",
}
HEADER: Final = '''"""The synchronous SDK: the async one without ``await``. Made by `just generate`; not to be edited.

It may be used from any thread, and from several at once. `sandtop.core.client._portal` has how.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from sandtop.core.client.sdk import core as _core
from sandtop.core.client.sdk import image as _image
from sandtop.core.client.sdk import together as _together
from sandtop.core.client.sdk import volume as _volume
from sandtop.core.client.sdk import watching as _watching
from sandtop.core.client.sdk.collect import MAX_OUTPUT
from sandtop.core.client.sdk.files import MAX_READ
from sandtop.core.client.sdk.sandbox import Sandbox as _Sandbox
from sandtop.core.client.sdk.together import MAX_EACH
from sandtop.core.client.session.detach import DETACH_KEYS

from ._portal import Connected, Iterated, chunks, held, iterated, run, run_here, run_telling, writes

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Literal

    from sandtop.core.client.link.values import Rlimit
    from sandtop.core.client.sdk.attach import Detached
    from sandtop.core.client.sdk.collect import Log, Output
    from sandtop.core.client.sdk.files import FileChange
    from sandtop.core.client.sdk.files import Files as _Files
    from sandtop.core.client.sdk.outcome import Outcome
    from sandtop.core.client.sdk.process import Stdin as _Stdin
    from sandtop.core.client.sdk.screen import Screen
    from sandtop.core.client.session.events import ExitRecord
    from sandtop.core.client.link.listening import LogPiece
    from sandtop.core.contract.core import CoreStatus
    from sandtop.core.contract.core_events import Happening, HostHistory, Sample, SandboxHistory
    from sandtop.core.contract.file import FileInfo
    from sandtop.core.contract.image import ImageDetails, ImageInfo, Pruned
    from sandtop.core.contract.mount import Mount
    from sandtop.core.contract.net import Egress
    from sandtop.core.contract.sandbox import Inspection, PortForward, Processes, SandboxInfo
    from sandtop.core.contract.secret import GivenSecret
    from sandtop.core.contract.session_results import SessionInfo
    from sandtop.core.contract.volume import VolumeInfo, VolumesPruned

    _Kind = type[BaseException]
'''


class _Plain(ast.NodeTransformer):
    """Types as they are without ``await``."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if isinstance(node, ast.expr) and (found := TYPES.get(ast.unparse(node))) is not None:
            return ast.parse(found, mode="eval").body
        return node


def _signature(node: ast.AsyncFunctionDef | ast.FunctionDef) -> tuple[str, str]:
    """The arguments, and what comes back, in source."""
    returns = "None" if node.returns is None else ast.unparse(_Plain().visit(node.returns))
    returns = re.sub(r"^AsyncGenerator\[", "Generator[", returns)
    return ast.unparse(_Plain().visit(node.args)), returns


def _passed(node: ast.AsyncFunctionDef | ast.FunctionDef) -> str:
    """The arguments of the call of the async twin."""
    arguments = node.args
    first = [argument.arg for argument in arguments.args if argument.arg not in ("self", "cls")]
    if arguments.vararg is not None:
        first.append(f"*{arguments.vararg.arg}")
    named = [argument.arg for argument in arguments.kwonlyargs]
    return ", ".join([*map(_value, first), *(f"{name}={_value(name)}" for name in named)])


def _value(name: str) -> str:
    given = {
        "progress": "caller.hears(progress)",
        "chunks": "chunks(chunks_)",
        "write": "writes(write)",
        "other": "other._async",
    }
    return given.get(name, name)


def _call(target: str, node: ast.AsyncFunctionDef | ast.FunctionDef, runner: str = "run") -> str:
    """The call of the async twin, run to its end."""
    call = f"{target}({_passed(node)})"
    if any(one.arg == "progress" for one in [*node.args.args, *node.args.kwonlyargs]):
        return f"run_telling(lambda caller: {call})"
    return f"{runner}(lambda: {call})"


def _body(owner: str, node: ast.AsyncFunctionDef | ast.FunctionDef, returns: str) -> str:
    on_class = any(isinstance(one, ast.Name) and one.id == "classmethod" for one in node.decorator_list)
    target = f"_Sandbox.{node.name}" if on_class else f"self._async.{node.name}"
    if any(isinstance(one, ast.Name) and one.id == "property" for one in node.decorator_list):
        return f"return {returns}({target})" if returns in ("Stdin", "Files") else f"return {target}"
    if (
        owner == "Files" and node.name == "scan"
    ):  # by pages: each step of the loop costs as much as hundreds of entries
        return f"for page in self.pages({_passed(node)}):\n    yield from page"
    if returns.startswith("Generator["):
        return f"return iterated(lambda: {target}({_passed(node)}))"
    if "AbstractContextManager" in returns:
        passed = _passed(node)
        return f"return held(lambda: {target}({passed}))" if passed else f"return held({target})"
    if returns in _BASES:
        return f"return {returns}(lambda: {target}({_passed(node)}))"
    if node.name in HERE:
        return f"return {_call(target, node, 'run_here')}"
    if isinstance(node, ast.FunctionDef) and returns == "Self":
        return f"return cls({target}({_passed(node)}))"
    if isinstance(node, ast.FunctionDef):
        return f"return {target}({_passed(node)})"
    call = _call(target, node, "self._run" if owner in _BASES else "run")
    if returns == "Self":
        return f"return cls({call})"
    if returns == "list[Self]":
        return f"return [cls(one) for one in {call}]"
    if node.name == "aclose" and owner in _BASES:
        return f"try:\n    {call}\nfinally:\n    self._left()"
    return call if returns == "None" else f"return {call}"


def _method(owner: str, node: ast.AsyncFunctionDef | ast.FunctionDef) -> str:
    arguments, returns = _signature(node)
    body = _body(owner, node, returns)
    decorators = [
        ast.unparse(one) for one in node.decorator_list if ast.unparse(one) != "asynccontextmanager"
    ]
    name = "close" if node.name == "aclose" else node.name
    if "chunks(chunks_)" in body:
        body = body.replace("chunks(chunks_)", "chunks(pieces)")
        arguments = arguments.replace("chunks:", "pieces:")
    return _function(name, arguments, returns, node, body, decorators)


def _function(
    name: str,
    arguments: str,
    returns: str,
    node: ast.AsyncFunctionDef | ast.FunctionDef,
    body: str,
    decorators: list[str],
) -> str:
    doc = ast.get_docstring(node, clean=True)
    lines = [f"@{one}" for one in decorators]
    lines.append(f"def {name}({arguments}) -> {returns}:")
    if doc:
        lines += textwrap.indent(f'"""{doc}{chr(10) if chr(10) in doc else ""}"""', "    ").splitlines()
    return "\n".join([*lines, textwrap.indent(body, "    ")])


def _public(node: ast.stmt) -> bool:
    if not isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef) or node.name in LEFT_OUT:
        return False
    return node.name == "__repr__" or not node.name.startswith("_")


_BASES: Final = {"Process": "Iterated", "Connection": "Connected"}
"""Of what lives longer than a call."""
_BEGIN: Final = {
    "Stdin": "def __init__(self, twin: _Stdin) -> None:\n    self._async = twin",
    "Files": "def __init__(self, twin: _Files) -> None:\n    self._async = twin",
    "Sandbox": "def __init__(self, twin: _Sandbox) -> None:\n    self._async = twin",
}
_LEAVE: Final = """def __enter__(self) -> Self:
    return self

def __exit__(
    self, kind: _Kind | None, error: BaseException | None, traceback: TracebackType | None
) -> None:
    """
_END: Final = {
    "Process": f"{_LEAVE}self.close()",
    "Connection": f"{_LEAVE}self.close()",
    "Sandbox": f"{_LEAVE}run(lambda: self._async.__aexit__(kind, error, traceback))",
}


def coroutines(file: str) -> dict[str, ast.AsyncFunctionDef | ast.FunctionDef]:
    """What of the module ``file`` of the SDK is for programs, by name: coroutines and async generators."""
    nodes = ast.parse((SDK / file).read_text()).body
    return {
        node.name: node
        for node in nodes
        if _public(node)
        and isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)
        and (isinstance(node, ast.AsyncFunctionDef) or _signature(node)[1].startswith("Generator["))
    }


def source() -> str:
    """The whole module, as ruff formats it."""
    parts = [HEADER]
    for name, (files, classes) in CLASSES.items():
        nodes = [
            node
            for file in files
            for node in ast.parse((SDK / file).read_text()).body
            if isinstance(node, ast.ClassDef) and node.name in classes
        ]
        doc = ast.get_docstring(nodes[0]) or ""
        bases = f"({_BASES[name]})" if name in _BASES else ""
        methods = [
            _method(name, one)
            for node in nodes
            for one in node.body
            if _public(one) and isinstance(one, ast.AsyncFunctionDef | ast.FunctionDef)
        ]
        body = "\n\n".join([*filter(None, [_BEGIN.get(name)]), *methods, *filter(None, [_END.get(name)])])
        quoted = f'"""{doc}{chr(10) if chr(10) in doc else ""}"""'
        parts.append(f"class {name}{bases}:\n" + textwrap.indent(f"{quoted}\n\n{body}", "    "))
    for file in FUNCTIONS:
        for name, node in coroutines(file).items():
            arguments, returns = _signature(node)
            target = f"_{file.removesuffix('.py')}.{name}"
            call = _call(target, node)
            body = call if returns == "None" else f"return {call}"
            if returns.startswith("Generator["):
                body = f"return iterated(lambda: {target}({_passed(node)}))"
            parts.append(_function(name, arguments, returns, node, body, []))
    return formatted("\n\n\n".join(parts) + "\n", TARGET)


def formatted(text: str, path: Path) -> str:
    """``text`` as ruff has it in the file ``path``."""
    ruff = [sys.executable, "-m", "ruff"]
    name = ["--stdin-filename", str(path)]
    checked = subprocess.run(
        [*ruff, "check", "--fix-only", "--quiet", *name, "-"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return subprocess.run(
        [*ruff, "format", *name, "-"], input=checked, capture_output=True, text=True, check=True
    ).stdout


if __name__ == "__main__":
    TARGET.write_text(source())
