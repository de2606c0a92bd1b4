"""What the guest runtime stands on: a trimmed Python, busybox and e2fsck, from the distribution's packages.

The Python is trimmed by asking it: it imports the modules in `_MODULES`, and what it has then loaded is what stays,
as byte code without sources. It runs here through the dynamic linker of its own package, so that neither root nor a
Python of the same version is needed on the host.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from sandtop.core.errors import ImageError
from sandtop.core.guest import debs
from sandtop.core.guest.store import Shelf, digest_of
from sandtop.core.guest.tools import Progress, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.core.guest.archive import Archive

_WANTED: Final = ("python3-minimal", "libpython3-stdlib", "e2fsprogs", "busybox-static")
_UNPACKED: Final = re.compile(
    r"(lib)?python3\.\d+-(minimal|stdlib)|libc6|zlib1g|libexpat1|libffi\d+"
    r"|e2fsprogs|libext2fs2.*|libcom-err2|libblkid1|libuuid1|busybox-static"
)

# What the agent imports, and a margin of what it may come to import. Nothing that needs a network or OpenSSL.
_MODULES: Final = """
__future__ abc argparse array base64 binascii bisect codecs collections collections.abc configparser
contextlib copy ctypes dataclasses datetime encodings.ascii encodings.latin_1
encodings.utf_8 enum errno fcntl fnmatch functools gc getopt glob grp hashlib heapq hmac importlib
importlib.machinery importlib.util inspect io ipaddress itertools json keyword linecache locale logging
marshal math mmap operator os pathlib pickle platform pprint pty pwd py_compile queue random re reprlib
resource runpy secrets select selectors shlex shutil signal socket stat string struct
subprocess syslog tarfile tempfile termios textwrap threading time token tokenize traceback tty types typing
uuid warnings weakref zipfile zipimport zlib _strptime
""".split()  # noqa: SIM905 - a list literal would be a line a name

# Their libraries are not in the runtime. What imports them in the standard library can do without.
_LEFT_OUT: Final = "_bz2 _curses _hashlib _lzma _ssl readline"

# Prints the file of everything that importing the arguments loads. A frozen module has no __file__, but the ones that
# look for themselves on the disk (os, the landmark that Python finds its library by) are beside the others.
_LIST_LOADED: Final = """
import importlib, json, os, sys
sys.modules.update(dict.fromkeys(sys.argv[1].split()))  # importing one of these now fails
for name in sys.argv[2:]:
    importlib.import_module(name)
library = os.path.dirname(os.path.dirname(importlib.import_module("json").__file__))
files = {getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}
print(json.dumps(sorted({f for f in files if f.startswith(library)} | {f"{library}/os.py"})))
"""

_COMPILE: Final = """
import py_compile, sys
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
for job in sys.argv[2:]:
    source, target, shown = job.split("\\t")
    py_compile.compile(source, target, shown, doraise=True, optimize=int(sys.argv[1]), invalidation_mode=mode)
"""
_E2FSCK: Final = "sbin/e2fsck"
_BUSYBOX: Final = "bin/busybox"
_LIBRARIES: Final = "lib/x86_64-linux-gnu"
_LINKER: Final = "lib64/ld-linux-x86-64.so.2"
"""Where programs look for it. In the package that is an absolute link, which here leads to the host's own."""
_LINKER_FILE: Final = f"{_LIBRARIES}/ld-linux-x86-64.so.2"


@dataclass(frozen=True, slots=True)
class Foundation:
    """The trimmed tree: busybox, e2fsck and a Python whose version is ``python`` (``python3.11``).

    ``digest`` names the inputs it was made of.
    """

    tree: Path
    python: str
    digest: str

    def compile(self, jobs: Sequence[tuple[Path, Path, str]], *, optimize: int) -> None:
        """Byte-compile sources with this Python: (source, target, the name that tracebacks show).

        The byte code never looks at its source again ("unchecked hash"): a guest reads one file a module. Raises
        `ImageError` naming a source that does not compile.
        """
        packed = ["\t".join((str(source), str(target), shown)) for source, target, shown in jobs]
        argv = _python(self.tree, self.python)
        run([*argv, "-c", _COMPILE, str(optimize), *packed], "byte-compiling", timeout=120)


def shelf(cache: Path) -> Shelf:
    """Where foundations are kept."""
    return Shelf(cache / "foundations", "guest runtime", keep=2)


def find(archive: Archive, cache: Path) -> Foundation | None:
    """The foundation of this release, when it has been built and is whole."""
    folder = shelf(cache).current(_recipe(archive))
    return _describe(folder) if folder else None


def build(archive: Archive, cache: Path, scratch: Path, progress: Progress) -> Foundation:
    """Build it from the newest packages of the release. ``scratch`` is an empty folder on the same disk as ``cache``.

    Raises `ImageError`, `MissingDependency`, `StorageError`.
    """
    archive.refresh(lambda line: progress(f"guest runtime: {line}"))
    packages = debs.resolve(archive, _WANTED, _UNPACKED, scratch)
    recipe = _recipe(archive)
    key = digest_of(recipe, *(f"{package.name}={package.version}" for package in packages))[:32]
    place = shelf(cache)

    def make(folder: Path) -> None:
        full = scratch / "foundation"
        debs.unpack(archive, packages, full, scratch, lambda line: progress(f"guest runtime: {line}"))
        python = _python_name(full)
        progress(f"guest runtime: trimming and compiling {python}")
        (folder / "python").write_text(python)
        _trim(full, folder / "tree", python)

    folder = place.build(key, make, progress)
    place.set_current(recipe, key)
    return _describe(folder)


def _recipe(archive: Archive) -> str:
    trimming = (*_WANTED, _UNPACKED.pattern, *_MODULES, _LEFT_OUT, _LIST_LOADED, _COMPILE)
    return digest_of("2", *archive.in_recipes, *trimming)[:16]


def _describe(folder: Path) -> Foundation:
    return Foundation(folder / "tree", (folder / "python").read_text(), folder.name)


def _python_name(tree: Path) -> str:
    for path in sorted((tree / "usr" / "bin").glob("python3.*")):
        if re.fullmatch(r"python3\.\d+", path.name):
            return path.name
    raise ImageError("the python3-minimal package brought no interpreter")


def _linker(tree: Path) -> list[str]:
    """The start of a command that runs a program of ``tree`` with the C library of ``tree``."""
    searched = f"{tree / _LIBRARIES}:{tree / 'usr' / _LIBRARIES}"
    whole = debs.below_usr(tree, _LINKER_FILE)
    linker = whole if whole.exists() else tree / _LINKER  # which a trimmed tree has as a file
    return [str(linker), "--library-path", searched]


def _python(tree: Path, python: str) -> list[str]:
    return [*_linker(tree), str(tree / "usr" / "bin" / python), "-I", "-S", "-B"]


def _trim(full: Path, tree: Path, python: str) -> None:
    listed = run(
        [*_python(full, python), "-c", _LIST_LOADED, _LEFT_OUT, *_MODULES], "trimming Python", timeout=120
    )
    library = full / "usr" / "lib" / python
    # where they are in the packages, and where the guest finds them
    placed = {debs.below_usr(full, name): tree / name for name in (_E2FSCK, _BUSYBOX)}
    placed[debs.below_usr(full, _LINKER_FILE)] = tree / _LINKER
    programs = [full / "usr" / "bin" / python, debs.below_usr(full, _E2FSCK)]
    jobs: list[tuple[Path, Path, str]] = []
    for name in cast("list[str]", json.loads(listed)):
        path = Path(name)
        target = tree / path.relative_to(full)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".so":
            programs.append(path)
        else:
            jobs.append((path, target.with_suffix(".pyc"), f"/usr/lib/{python}/{path.relative_to(library)}"))
    for path in _libraries_of(full, programs):
        _copy(path, tree / _LIBRARIES / path.name)
    for path in programs:
        placed.setdefault(path, tree / path.relative_to(full))
    for path, place in placed.items():
        _copy(path, place)
    (tree / "usr" / "bin" / "python3").symlink_to(python)
    # without doc strings and assertions: the library is not what is under test in a guest
    Foundation(full, python, "").compile(jobs, optimize=2)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def _libraries_of(tree: Path, programs: Sequence[Path]) -> list[Path]:
    """The shared libraries that ``programs`` load, as files of ``tree``."""
    found: set[Path] = set()
    for program in programs:
        listed = run([*_linker(tree), "--list", program], f"reading {program.name}", timeout=30)
        for match in re.finditer(r"^\s*(\S+) => (\S+) ", listed, re.MULTILINE):
            path = Path(match[2])
            if not path.is_relative_to(tree):
                raise ImageError(f"{program.name} needs {match[1]}, which none of the packages brought")
            if path.name != Path(_LINKER).name:  # libc names it, and it has a place of its own
                found.add(path)
    return sorted(found)
