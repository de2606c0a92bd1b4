"""Runs in the guest as its first process: does what the kernel's argument ``task=`` names and turns the machine off."""
# ruff: noqa: T201 - the console is where the tests listen

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

_POWER_OFF = 0x4321FEDC  # linux/reboot.h
_NOTE = Path("/root/note")
_MANY = Path("/var/many")


def report() -> None:
    """Say what a sandbox would see."""
    for line in Path("/proc/mounts").read_text().splitlines():
        if line.split()[1].startswith("/sandbox"):
            print("mount", line)
    print("boot", os.environ["SANDTOP_BOOT"])
    os.chroot("/sandbox")
    os.chdir("/")
    print("links", *sorted(os.listdir("/sys/class/net")))
    print("loopback", Path("/sys/class/net/lo/flags").read_text().strip())
    print("controllers", Path("/sys/fs/cgroup/cgroup.controllers").read_text().strip())
    print("terminal", os.ttyname(os.openpty()[1]))
    print("tmp", oct(os.stat("/tmp").st_mode & 0o7777))
    print("note", _NOTE.read_text() if _NOTE.exists() else "none")
    shell = 'echo from the shell; python3 -c \'import json, sqlite3, ssl; print("from", "python")\'; id -un nobody'
    subprocess.run(["sh", "-c", shell], check=True)
    _NOTE.write_text("kept")


def write() -> None:
    """Write one file for good, say so, and then go on changing the file system until somebody ends the machine."""
    os.chroot("/sandbox")
    with _NOTE.open("w") as note:
        note.write("synced")
        note.flush()
        os.fsync(note.fileno())
    _MANY.mkdir()
    number = 0
    while True:
        path = _MANY / str(number % 500)
        path.unlink(missing_ok=True)
        path.write_bytes(os.urandom(20_000))
        number += 1
        if number % 100 == 0:
            os.sync()
            print("written", number, flush=True)


def check() -> None:
    """Read back all that `write` left."""
    os.chroot("/sandbox")
    print("note", _NOTE.read_text())
    files = list(_MANY.iterdir())
    print("read", sum(len(path.read_bytes()) > 0 for path in files) > 0, flush=True)


def main(arguments: list[str]) -> int:
    print("arguments", *arguments, flush=True)
    words = Path("/proc/cmdline").read_text().split()
    task = next(word.partition("=")[2] for word in words if word.startswith("task="))
    {"report": report, "write": write, "check": check}[task]()
    sys.stdout.flush()
    os.sync()
    ctypes.CDLL(None).reboot(_POWER_OFF)
    return 1
