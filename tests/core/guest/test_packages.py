"""What comes from the distribution: apt's failures in a line each, a Python that suffices."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import sandtop.agent
from sandtop.core.errors import ImageError
from sandtop.core.guest import GuestStore, foundation

if TYPE_CHECKING:
    from sandtop.core.guest import Runtime
    from sandtop.core.paths import Paths

AGENT = Path(sandtop.agent.__path__[0])


def apt_settings(folder: Path, *lines: str) -> Path:
    path = folder / "apt.conf"
    path.write_text("".join(f"{line};\n" for line in lines))
    return path


def test_without_lists_apt_needs_an_update(
    empty_paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    monkeypatch.setenv("APT_CONFIG", str(apt_settings(tmp_path, f'Dir::State::lists "{lists}"')))
    with pytest.raises(ImageError) as caught:
        GuestStore(empty_paths).kernel()
    assert caught.value.hint == "run: sudo apt-get update"
    assert "linux-image-cloud-amd64" in caught.value.message


@pytest.mark.slow
def test_without_a_network_the_archive_is_named(
    empty_paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = '"http://127.0.0.1:9"'  # the discard port: refused at once
    proxies = (f"Acquire::http::Proxy {nobody}", f"Acquire::https::Proxy {nobody}")
    settings = apt_settings(tmp_path, *proxies, "Acquire::Retries 0")  # apt would wait between them
    monkeypatch.setenv("APT_CONFIG", str(settings))
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ImageError) as caught:
        GuestStore(empty_paths).kernel()
    assert caught.value.hint == "check that this machine reaches its Debian archive"
    assert "linux-image" in caught.value.message
    assert "\n" not in str(caught.value)
    left = {path.relative_to(empty_paths.cache).as_posix() for path in empty_paths.cache.rglob("*")}
    assert left == {"kernels", "kernels/.lock", "scratch", "scratch/.lock"}


def test_preparing_again_does_nothing(guest_store: GuestStore) -> None:
    said: list[str] = []
    guest_store.prepare(said.append)
    assert said == []


def test_the_kernel_is_what_was_built(guest_store: GuestStore) -> None:
    kernel = guest_store.kernel()
    assert kernel.image.read_bytes()[0x202:0x206] >= b"\x0d\x02"  # a bzImage of boot protocol 2.13 or later
    assert kernel.image.read_bytes()[0x1FE:0x200] == b"\x55\xaa"
    assert {"virtio_blk.ko", "squashfs.ko", "overlay.ko"} <= {path.name for path in kernel.modules.iterdir()}


def test_another_agent_is_another_runtime(standin_store: GuestStore, tmp_path: Path) -> None:
    def runtime() -> Runtime:
        return GuestStore(standin_store.paths, agent=tmp_path).runtime()

    with pytest.raises(ImageError, match="no guest agent in"):
        runtime()
    (tmp_path / "__main__.py").write_text("def main(arguments): pass\n")
    first = runtime()
    assert runtime() == first
    (tmp_path / "__main__.py").write_text("def main(arguments): return 1\n")
    assert runtime().digest != first.digest


def test_the_packages_below_the_agent_are_packed_and_compiled(
    standin_store: GuestStore, tmp_path: Path
) -> None:
    def runtime() -> Runtime:
        return GuestStore(standin_store.paths, agent=tmp_path).runtime()

    (tmp_path / "__main__.py").write_text("from .wire import limits\n")
    wire = tmp_path / "wire"
    wire.mkdir()
    (wire / "__init__.py").touch()
    (wire / "limits.py").write_text("MOST = 1\n")
    first = runtime()
    archive = first.initrd.read_bytes()
    for name in (b"agent/__main__.py", b"agent/wire/__init__.py", b"agent/wire/limits.py"):
        folder, _, file = name.rpartition(b"/")
        assert b"/sandtop/" + name + b"\0" in archive
        assert b"/sandtop/" + folder + b"/__pycache__/" + file.removesuffix(b"py") + b"cpython-" in archive
    (wire / "limits.py").write_text("MOST = 2\n")
    assert runtime().digest != first.digest


def test_an_agent_that_does_not_compile_is_named(standin_store: GuestStore, tmp_path: Path) -> None:
    (tmp_path / "__main__.py").write_text("def main(:\n")
    with pytest.raises(ImageError, match=r"sandtop/agent/__main__\.py"):
        GuestStore(standin_store.paths, agent=tmp_path).runtime()


def test_the_trimmed_python_has_all_that_the_agent_imports(guest_store: GuestStore, tmp_path: Path) -> None:
    built = foundation.find(guest_store.paths.cache)
    assert built is not None
    (tmp_path / "sandtop").mkdir()
    (tmp_path / "sandtop" / "agent").symlink_to(AGENT)
    names = {".".join(path.relative_to(AGENT).with_suffix("").parts) for path in AGENT.rglob("*.py")}
    assert {"__main__", "wire.frames"} <= names
    modules = [f"sandtop.agent.{name}" for name in sorted(names) if not name.endswith("__init__")]
    code = "import sys, importlib; sys.path.append(sys.argv[1]); [importlib.import_module(m) for m in sys.argv[2:]]"
    linker = built.tree / "lib64" / "ld-linux-x86-64.so.2"
    libraries = built.tree / "lib" / "x86_64-linux-gnu"
    python = built.tree / "usr" / "bin" / built.python
    done = subprocess.run(
        [linker, "--library-path", libraries, python, "-I", "-S", "-B", "-c", code, tmp_path, *modules],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
