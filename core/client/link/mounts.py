"""What is mounted in a sandbox, as people write it: docker's ``--mount``, ``-v`` and ``--tmpfs``."""

from __future__ import annotations

import os

from sandtop.core.contract.mount import Mount
from sandtop.core.errors import InvalidRequest

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Final, Literal, NoReturn

    Kind = Literal["bind", "volume", "tmpfs"]

_HINT: Final = (
    "such as type=volume,src=NAME,dst=/data, type=bind,src=DIR,dst=/work,ro or type=tmpfs,dst=/scratch"
)
_SHORT_HINT: Final = "such as NAME:/data, ./DIR:/work or ./DIR:/work:ro"
_TMPFS_HINT: Final = "such as /scratch or /scratch:size=64m,mode=755"
_KINDS: Final[tuple[Kind, ...]] = ("bind", "volume", "tmpfs")
_KEYS: Final = {
    "type": "type", "src": "source", "source": "source", "dst": "target", "target": "target", "destination": "target",
    "ro": "read_only", "readonly": "read_only", "tmpfs-size": "size", "tmpfs-mode": "mode",
}  # fmt: skip
_UNITS: Final = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_YES: Final = {"": True, "true": True, "1": True, "false": False, "0": False}


def mount(text: str) -> Mount:
    """``type=bind|volume|tmpfs,src=…,dst=…[,ro][,tmpfs-size=…][,tmpfs-mode=…]``, as docker's ``--mount`` has it.

    Without a type it is a volume. A path of the host may be relative. Raises `InvalidRequest`, which names the key.
    """
    given: dict[str, str] = {}
    for part in _parts(text):
        key, equals, value = part.partition("=")
        name = _KEYS.get(key.strip().lower())
        if name is None:
            _refuse(text, f"has no key {key!r:.40}", f"known: {', '.join(_KEYS)}")
        if not equals and name != "read_only":
            _refuse(text, f"has no value for {key}", _HINT)
        if name in given:
            _refuse(text, f"says {key} twice", _HINT)
        given[name] = value
    kind = given.get("type", "volume")
    if kind not in _KINDS:
        _refuse(text, f"has an unknown type {kind!r:.40}", f"known: {', '.join(_KINDS)}")
    read_only = given.get("read_only")
    if read_only is not None and read_only.lower() not in _YES:
        _refuse(text, f"says ro={read_only!r:.40}", "ro, or ro=true, or ro=false")
    return _mount(
        text,
        _HINT,
        kind,
        given.get("source"),
        given.get("target"),
        read_only=read_only is not None and _YES[read_only.lower()],
        size=given.get("size"),
        mode=given.get("mode"),
    )


def short_mount(text: str) -> Mount:
    """``SRC:DST[:ro]``, as docker's ``-v`` has it.

    A SRC that begins with ``/``, ``.`` or ``~`` is a folder of the host, another the name of a volume. Raises
    `InvalidRequest`.
    """
    source, colon, rest = text.partition(":")
    target, _, how = rest.partition(":")
    if not colon or not source:
        _refuse(text, "names no volume and no folder", _SHORT_HINT)
    if how not in ("", "ro", "rw"):
        _refuse(text, f"ends in {how!r:.40}", _SHORT_HINT)
    kind: Kind = "bind" if source[0] in "/.~" else "volume"
    return _mount(text, _SHORT_HINT, kind, source, target, read_only=how == "ro")


def tmpfs_mount(text: str) -> Mount:
    """``DST[:size=…,mode=…,ro]``, as docker's ``--tmpfs`` has it. Raises `InvalidRequest`."""
    target, _, options = text.partition(":")
    given: dict[str, str] = {}
    for option in options.split(",") if options else ():
        key, _, value = option.partition("=")
        if key not in ("size", "mode", "ro", "rw"):
            _refuse(text, f"has no option {key!r:.40}", "known: size, mode, ro, rw")
        given[key] = value
    size, mode = given.get("size"), given.get("mode")
    return _mount(text, _TMPFS_HINT, "tmpfs", None, target, read_only="ro" in given, size=size, mode=mode)


def _parts(text: str) -> list[str]:
    if '"' not in text:
        return text.split(",")
    import csv  # as docker has it: a field with a comma in it stands in quotes

    return next(csv.reader([text]))


def _mount(
    text: str,
    hint: str,
    kind: Kind,
    source: str | None,
    target: str | None,
    *,
    read_only: bool,
    size: str | None = None,
    mode: str | None = None,
) -> Mount:
    if not target:
        _refuse(text, "does not say where in the sandbox", hint)
    if not target.startswith("/"):
        _refuse(text, f"has a place that is no absolute path in the sandbox: {target!r:.60}", hint)
    if kind == "tmpfs" and source is not None:
        _refuse(text, "is a tmpfs, which has no source", hint)
    if kind != "tmpfs" and not source:
        _refuse(text, "names no volume" if kind == "volume" else "names no folder of this host", hint)
    if kind != "tmpfs" and (size is not None or mode is not None):
        _refuse(text, f"has a size or a mode and is no tmpfs, but a {kind}", hint)
    if kind == "bind" and source is not None:
        source = os.path.abspath(os.path.expanduser(source))
    return Mount(
        type=kind,
        source=source,
        target=target,
        read_only=read_only,
        size=None if size is None else _bytes(text, size),
        mode=None if mode is None else _mode(text, mode),
    )


def _bytes(text: str, size: str) -> int:
    """``64m``, ``1GiB`` or a number of bytes."""
    digits = size.rstrip("bBiIkKmMgGtT")
    unit = size[len(digits) :].lower()
    factor = _UNITS.get(
        unit.removesuffix("ib") if len(unit) > 2 else unit[:1] if unit[1:] in ("", "b") else unit
    )
    if not (digits.isascii() and digits.isdecimal()) or factor is None:
        _refuse(text, f"has no size such as 64m or 1g, but {size!r:.40}", _HINT)
    return int(digits) * factor


def _mode(text: str, mode: str) -> int:
    if not 0 < len(mode) <= 5 or mode.strip("01234567") or int(mode, 8) > 0o7777:
        _refuse(text, f"has no mode in octal such as 1777, but {mode!r:.40}", _HINT)
    return int(mode, 8)


def _refuse(text: str, why: str, hint: str) -> NoReturn:
    raise InvalidRequest(f"the mount {text!r:.100} {why}", hint=hint)
