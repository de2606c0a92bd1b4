"""Trees of files, compared name by name: what umoci unpacks, and what is in a squashfs file of ours."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def unsquashed(image: Path, into: Path) -> Path:
    """The files of a squashfs file; by root with owners, devices and all attributes."""
    subprocess.run(
        ["unsquashfs", "-q", "-n", "-d", into, image], check=True, timeout=120, capture_output=True
    )
    return into


def tree_of(root: Path) -> dict[str, dict[str, object]]:
    """All names below ``root``, and what each is."""
    found = dict[str, dict[str, object]]()
    names = dict[tuple[int, int], list[str]]()
    for folder, folders, files in os.walk(os.fsencode(root)):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            shown = os.fsdecode(os.path.relpath(path, os.fsencode(root)))
            facts = os.lstat(path)
            found[shown] = _facts(path, facts)
            if not stat.S_ISDIR(facts.st_mode):
                names.setdefault((facts.st_dev, facts.st_ino), []).append(shown)
    for together in names.values():
        for each in together:
            if stat.S_ISREG(int(str(found[each]["mode"]), 8)):
                found[each]["names"] = sorted(together)
    return found


def _facts(path: bytes, facts: os.stat_result) -> dict[str, object]:
    made: dict[str, object] = {"mode": oct(facts.st_mode), "owner": (facts.st_uid, facts.st_gid)}
    if stat.S_ISREG(facts.st_mode):
        with open(path, "rb") as file:
            made["content"] = (facts.st_size, hashlib.file_digest(file, "sha256").hexdigest())
    if stat.S_ISLNK(facts.st_mode):
        made["target"] = os.readlink(path)
    if stat.S_ISCHR(facts.st_mode) or stat.S_ISBLK(facts.st_mode):
        made["device"] = facts.st_rdev
    if not stat.S_ISDIR(facts.st_mode):  # of folders that no layer names it is the moment of their making
        made["mtime"] = int(facts.st_mtime)
    made["attributes"] = {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in os.listxattr(path, follow_symlinks=False)
        if name != "security.selinux"
    }
    return made
