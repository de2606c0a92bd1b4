"""``just bench mounts``: a folder of the host in a sandbox, beside the sandbox's own disk, and beside the host.

    python bench/mounts/run.py [--files N] [--rounds N] [--accelerator auto|kvm|tcg]

A tree like that of a JavaScript project (packages with a few folders and many small files) is unpacked with tar, made a
git repository of, looked through with ``git status``, read, and removed: by the same programs, the host's own, which
the sandbox is given with their libraries. The places take turns. What counts is the ratio to the sandbox's own disk:
the host does not emulate its processor, the sandbox may.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Final

from sandtop.core import paths

_SANDTOP: Final = [sys.executable, "-m", "sandtop"]
_PROGRAMS: Final = ("git", "tar", "grep", "rm", "dd")
_PLACES: Final = ("the host", "the disk", "the mount")
_TOOLS: Final = "/opt/tools"
_WORK: Final = {
    "unpack": "tar -xf $TAR -C $TREE",
    "git init, add": "cd $TREE && git init -q . && git add .",
    "git status, first": "cd $TREE && git status --short",
    "git status, again": "cd $TREE && git status --short",
    "read all": "grep -rc ZZZ $TREE/modules || true",
    "write 64 MB": "dd if=/dev/zero of=$TREE/large bs=1M count=64 conv=fsync",
    "read 64 MB": "dd if=$TREE/large of=/dev/null bs=1M",
    "rm -rf": "rm -rf $TREE",
}
"""What is done in turn, in a shell. In the sandbox nothing is cached when each begins."""
_FORGET: Final = "echo 3 > /proc/sys/vm/drop_caches"


def _sandtop(*words: str, stdin: bytes = b"") -> str:
    done = subprocess.run([*_SANDTOP, *words], check=True, stdout=subprocess.PIPE, input=stdin)
    return done.stdout.decode()


def _home(folder: Path, accelerator: str) -> None:
    """A home of the bench's own, which shares the user's cache."""
    (folder / "cache").symlink_to(paths.find().cache)
    (folder / "config").mkdir(mode=0o700)
    (folder / "config" / "config.toml").write_text(
        f'warm_machines = 0\nboot_seconds = 600\naccelerator = "{accelerator}"\n'
    )
    os.environ["SANDTOP_HOME"] = str(folder)


def _make_tree(path: Path, files: int) -> None:
    """A tar of so many small files: 20 a package, in up to three folders of it; half a KB to 6 KB each."""
    rng = random.Random(1)
    with tarfile.open(path, "w") as tar:
        for number in range(files):
            package, place = number // 20, ("", "lib/", "lib/util/")[number % 3]
            member = tarfile.TarInfo(f"modules/package-{package}/{place}file-{number}.js")
            data = rng.randbytes(rng.randrange(256, 3000)).hex().encode()
            member.size, member.mtime = len(data), 1_700_000_000
            tar.addfile(member, io.BytesIO(data))


def _give_tools(box: str, folder: Path) -> None:
    """Give the sandbox the host's programs, with their libraries and the linker that goes with them."""
    tools = folder / "tools"
    tools.mkdir()
    for name in _PROGRAMS:
        program = shutil.which(name)
        assert program is not None, f"this host has no {name}"
        shutil.copy(program, tools / f"{name}.bin")
        listed = subprocess.run(["ldd", program], check=True, stdout=subprocess.PIPE, text=True).stdout
        for library in re.findall(r"(/\S+) \(0x", listed):
            shutil.copy(library, tools)
        words = f'exec {_TOOLS}/ld-linux-x86-64.so.2 --library-path {_TOOLS} {_TOOLS}/{name}.bin "$@"'
        (tools / name).write_text(f"#!/bin/sh\n{words}\n")
        (tools / name).chmod(0o755)
    _sandtop("cp", str(tools), f"{box}:{_TOOLS}")


def _in_sandbox(box: str, tree: str, command: str) -> float:
    """Seconds, as the sandbox's own clock has them: the command line takes its time, too."""
    timed = f"{_FORGET}; t=$(date +%s%N); ({command}) >/dev/null || exit 1; echo $(( $(date +%s%N) - t ))"
    script = f"export PATH={_TOOLS}:$PATH HOME=/root TAR=/tree.tar TREE={tree}; {timed}"
    return int(_sandtop("exec", box, "--", "sh", "-c", script).split()[-1]) / 1e9


def _on_host(tree: Path, tar: Path, command: str) -> float:
    environment = {**os.environ, "TAR": str(tar), "TREE": str(tree)}
    begun = time.perf_counter()
    subprocess.run(["sh", "-c", command], check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def _measure(box: str, folder: Path, tar: Path, rounds: int) -> dict[str, dict[str, list[float]]]:
    seconds = defaultdict[str, dict[str, list[float]]](lambda: defaultdict(list))
    for number in range(rounds):
        trees = {"the disk": f"/root/tree-{number}", "the mount": f"/work/tree-{number}"}
        on_host = folder / f"tree-{number}"
        on_host.mkdir()
        for tree in trees.values():
            _sandtop("exec", box, "--", "mkdir", tree)
        for name, command in _WORK.items():
            seconds[name]["the host"].append(_on_host(on_host, tar, command))
            for place, tree in trees.items():
                seconds[name][place].append(_in_sandbox(box, tree, command))
            shown = "   ".join(f"{place} {seconds[name][place][-1]:7.2f}" for place in _PLACES)
            print(f"  {name:<20} {shown} s", flush=True)
    return seconds


def _summary(seconds: dict[str, dict[str, list[float]]]) -> None:
    for name, by_place in seconds.items():
        middle = {place: statistics.median(each) for place, each in by_place.items()}
        disk, host = (middle["the mount"] / middle[place] for place in ("the disk", "the host"))
        print(f"{name:<20} {middle['the mount']:7.2f} s: {disk:5.1f} x the disk, {host:6.1f} x the host")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--accelerator", choices=("auto", "kvm", "tcg"), default="auto")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sandtop-bench-") as place:
        folder = Path(place)
        folder.chmod(0o711)
        (folder / "home").mkdir()
        (folder / "home").chmod(0o711)
        _home(folder / "home", options.accelerator)
        (folder / "shared").mkdir()
        _make_tree(folder / "tree.tar", options.files)
        try:
            mount = f"type=bind,src={folder / 'shared'},dst=/work"
            _sandtop("create", "bench", "--memory", "1024", "--disk", "4096", "--mount", mount)
            _give_tools("bench", folder)
            _sandtop("cp", str(folder / "tree.tar"), "bench:/tree.tar")
            _summary(_measure("bench", folder, folder / "tree.tar", options.rounds))
        finally:
            _sandtop("core", "stop", "--all")


if __name__ == "__main__":
    main()
