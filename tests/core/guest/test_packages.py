"""What comes from the distribution: apt's failures in a line each, a Python that suffices."""

from __future__ import annotations

import lzma
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import sandtop.agent
from sandtop.core.errors import ImageError
from sandtop.core.guest import GuestStore, archive, foundation
from sandtop.core.guest.kernel import MODULES, Kernel, keep_modules

if TYPE_CHECKING:
    from sandtop.core.guest import Runtime
    from sandtop.core.paths import Paths

AGENT = Path(sandtop.agent.__path__[0])


def apt_settings(folder: Path, *lines: str) -> Path:
    path = folder / "apt.conf"
    path.write_text("".join(f"{line};\n" for line in lines))
    return path


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
    assert "Debian bookworm" in caught.value.message
    assert "\n" not in str(caught.value)
    assert {path.name for path in empty_paths.cache.iterdir()} == {"apt", "scratch"}
    assert {path.name for path in (empty_paths.cache / "scratch").iterdir()} == {".lock"}


def test_preparing_again_does_nothing(guest_store: GuestStore) -> None:
    said: list[str] = []
    guest_store.prepare(said.append)
    assert said == []


def test_the_kernel_is_what_was_built(guest_store: GuestStore) -> None:
    kernel = guest_store.kernel()
    assert kernel.image.read_bytes()[0x202:0x206] >= b"\x0d\x02"  # a bzImage of boot protocol 2.13 or later
    assert kernel.image.read_bytes()[0x1FE:0x200] == b"\x55\xaa"
    assert {"virtio_blk.ko", "squashfs.ko", "overlay.ko"} <= {path.name for path in kernel.modules.iterdir()}


def test_modules_of_debian_13_are_expanded_and_what_is_built_in_is_left_out(
    guest_store: GuestStore, tmp_path: Path
) -> None:
    """The real modules, laid out as that release has them."""
    files = {path.name: path.read_bytes() for path in guest_store.kernel().modules.glob("*.ko")}
    built_in = ("virtio_pci", "virtio_console")
    places = tmp_path / "tree" / "kernel" / "drivers"
    places.mkdir(parents=True)
    for name, data in files.items():
        if name.removesuffix(".ko") not in built_in:
            (places / f"{name}.xz").write_bytes(lzma.compress(data))
    (tmp_path / "tree" / "modules.builtin").write_text(
        "".join(f"kernel/drivers/{name}.ko\n" for name in ("virtio-pci", *built_in, "other"))
    )
    kept = tmp_path / "kept"
    keep_modules(tmp_path / "tree", kept)
    found = Kernel("6.12", kept, kept, "digest")
    assert "virtio_pci.ko" not in {path.name for path in kept.iterdir()}
    assert all(path.read_bytes() == files[path.name] for path in kept.glob("*.ko"))
    assert [path.name for path in found.insertion(MODULES["base"])] == ["squashfs.ko", "overlay.ko"]
    assert found.insertion(("virtio_console",)) == []
    inserted = [path.name for path in found.insertion(("virtio_net",))]
    assert inserted.index("failover.ko") < inserted.index("net_failover.ko") < inserted.index("virtio_net.ko")
    with pytest.raises(ImageError, match="no module nonsense"):
        found.insertion(("nonsense",))


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


def test_a_python_runs_by_the_linker_of_its_own_package_and_not_by_the_hosts(tmp_path: Path) -> None:
    """The package has it in ``/lib64`` as an absolute link, which leads out of the tree to another C library."""
    own = tmp_path / "tree" / "lib" / "x86_64-linux-gnu" / "ld-linux-x86-64.so.2"
    own.parent.mkdir(parents=True)
    own.write_text(f"#!/bin/sh\necho own >>{tmp_path}/ran\n")
    own.chmod(0o755)
    (tmp_path / "tree" / "lib64").mkdir()
    (tmp_path / "tree" / "lib64" / own.name).symlink_to("/lib64/ld-linux-x86-64.so.2")
    foundation.Foundation(tmp_path / "tree", "python3.11", "digest").compile([], optimize=0)
    assert (tmp_path / "ran").read_text() == "own\n"


def test_the_trimmed_python_has_all_that_the_agent_imports(guest_store: GuestStore, tmp_path: Path) -> None:
    cache = guest_store.paths.cache
    built = foundation.find(archive.at(cache, guest_store.release), cache)
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
