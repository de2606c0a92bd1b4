# ruff: noqa: E501 - scripts and keys as they are
"""Record real programs: what they write to a terminal, byte for byte, as small files beside this script.

Run it as root on a Debian machine with bash-completion, dialog, git, htop, less, mc, procps, python3 and vim, from an
environment that has sandtop. Every program runs in a folder and in PID, mount and host name namespaces of its own, so
that nothing of the machine shows. Our own emulator answers what the programs ask of their terminal.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
from dataclasses import dataclass
from pathlib import Path

from sandtop.core.terminal import Emulator

HERE = Path(__file__).parent
SIZES = ((80, 24), (200, 50))
QUIET = 0.4
"""Seconds without output after which the program is taken to wait for a key."""
PATIENCE = 8.0
"""Seconds for a program that gets no keys to end."""

UNICODE_TABLES = r"""
import sys, unicodedata
out = sys.stdout.write
for start, end in ((0xA1, 0x180), (0x370, 0x400), (0x410, 0x450), (0x2190, 0x21A8), (0x2500, 0x25A0), (0x3041, 0x3097),
                   (0x4E00, 0x4E40), (0xAC00, 0xAC20), (0xFF61, 0xFFA0), (0x1F300, 0x1F320), (0x1F600, 0x1F650)):
    for row in range(start, end, 16):
        out(f"{row:06X} ")
        out(" ".join(chr(c) for c in range(row, min(row + 16, end)) if unicodedata.category(chr(c))[0] in "LSNP"))
        out("\n")
out("e\u0301 a\u0308 n\u0303 o\u0302\u0323 Z\u0351\u036b\u0343 \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627\n")
out("\u250c\u2500\u2500\u252c\u2500\u2500\u2510\n\u2502\u4e2d\u2502\u6587\u2502\n\u2514\u2500\u2500\u2534\u2500\u2500\u2518\n")
"""

FILL = r"""
set -e
mkdir -p src/deep docs 'a folder'
for n in $(seq 60); do printf 'line %s of a text that goes on for a while, so that it has something to show\n' $n; done > notes.txt
printf '%b' 'def greet(name):\n    # Say hello.\n    for number in range(3):\n        print(f"hello {name} {number}")\n\n\nclass Box:\n    size = 42  # TODO: why\n\n    def open(self):\n        return "\\t\\xe4" if self.size else None\n' > src/box.py
printf '#include <stdio.h>\nint main(void) { /* a comment */ puts("caf\303\251"); return 0; }\n' > src/main.c
printf '#!/bin/sh\necho hi\n' > run.sh; chmod +x run.sh
ln -sf notes.txt link; ln -sf nowhere broken; : > archive.tar.gz; : > picture.png; : > 'a folder/with space.txt'
git init -q -b main .
export GIT_AUTHOR_DATE='2024-05-01T12:00:00Z' GIT_COMMITTER_DATE='2024-05-01T12:00:00Z'
git config user.name Ada; git config user.email ada@example.org
git add . && git commit -qm 'Begin'
for branch in red blue; do
  git checkout -qb $branch main; echo $branch > $branch.txt; git add .; git commit -qm "Add $branch"
  echo more >> $branch.txt; git commit -qam "More of $branch, with a subject that is somewhat longer than the others are"
  git checkout -q main; git merge -q --no-ff -m "Merge $branch" $branch
done
git tag v1.0; echo x >> notes.txt; git commit -qam 'Naïve café ✓ 日本語'
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """A program and the keys it gets, each when it has been quiet for a while."""

    name: str
    argv: tuple[str, ...]
    keys: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int], ...] = SIZES


SCENES = (
    Scene("vim", ("vim", "-u", "NONE", "-c", "syntax on", "-c", "set nocp ruler hls nu mouse=a", "src/box.py"),
          ("/self\r", "jjj", ":vsplit notes.txt\r", "\x06", ":split src/main.c\r", "ihéllo 中 \x1b", "yyp", ":set list\r")),
    Scene("vim-quit", ("vim", "-u", "NONE", "notes.txt"), ("dd", "\x06", "\x06", "\x02", "u", ":q!\r")),
    Scene("less", ("less", "-R", "-N", "notes.txt"), (" ", "/text\r", "n", "b", "k", "k", "G")),
    Scene("less-quit", ("less", "notes.txt"), (" ", "q")),
    Scene("htop", ("htop",), ("\x1b[B", "\x1bOQ", "\x1b[B", "\x1b", "t")),
    Scene("top", ("top", "-n", "4", "-d", "0.5"), ("z", "x", "1")),
    Scene("mc", ("mc", "-u", "-a"), ("\x1b[B", "\x1b[B", "\t", "\x1b0", "\x1b9", "\r")),
    Scene("mc-lines", ("mc", "-u", "src", "docs"), ("\x1b[B", "\x1b3", "\x1b0", "\x1b9", "\x1b[B")),
    Scene("dialog", ("dialog", "--title", "Boxes", "--checklist", "Which of them?", "15", "50", "4",
                     "one", "the first", "on", "two", "the second", "off", "three", "the third é中", "off"),
          ("\x1b[B", " ", "\t")),
    Scene("git-log", ("git", "--no-pager", "log", "--color", "--graph", "--stat", "--decorate")),
    Scene("git-diff", ("git", "--no-pager", "show", "--color", "--word-diff", "HEAD", "HEAD~2", "v1.0^2")),
    Scene("python", ("python3", "-q"),
          ("for n in range(3):\rprint(n)\x01    \r\r", "import os\ros.pa\t\t", "\x15'a' * 300\r", "1/0\r", "\x1b[A\x1b[A\x02\x02\x0bx\r")),
    Scene("bash", ("bash", "--norc", "-i"),
          ("PS1='\\[\\e[1;32m\\]box\\[\\e[m\\]:\\w\\$ '; . /usr/share/bash-completion/bash_completion; clear\r",
           "git lo\t", "--gr\t\t", "\x15echo " + "x" * 90, "\x01\x1b[3~\x1b[C\x1bf\x17", "\x05 中é\x7f", "\x15ls --co\t\r", "\x12ec",
           "\x07", "\x15cat no\t\r")),
    Scene("ls", ("ls", "--color=always", "-laF", "--time-style=+", "--group-directories-first")),
    Scene("apt", ("sh", "-c", "apt-get -y -q=0 -o APT::Color=1 -o Dpkg::Progress-Fancy=1 --no-download --reinstall "
                  "install hello sl")),
    Scene("unicode", ("python3", "-c", UNICODE_TABLES)),
    # Cursor movements, screen features, VT100 character sets, VT102 features, ECMA-48 motion and colours: each key
    # comes where vttest waits for a person to judge the screen.
    Scene("vttest", ("vttest", "24x80.80"),
          ("1\r", *["\r"] * 6, "2\r", *["\r"] * 15, "3\r", "8\r", *["\r"] * 3, "0\r", "8\r", *["\r"] * 14,
           "11\r", "6\r", "3\r", *["\r"] * 9, "0\r", "4\r", *["\r"] * 8, "0\r", "0\r", "0\r"), sizes=SIZES[:1]),
)  # fmt: skip


def record(scene: Scene, columns: int, rows: int, folder: str) -> tuple[bytes, list[int]]:
    """What the program of ``scene`` wrote until it ended or had its last key and went quiet; and how much of that
    it had written at each key."""
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": folder, "TERM": "xterm-256color", "LANG": "C.UTF-8", "USER": "root",
        "SHELL": "/bin/bash", "COLORTERM": "truecolor", "LS_COLORS": os.environ.get("LS_COLORS", "di=01;34:ln=01;36"
        ":ex=01;32:or=40;31;01:*.png=01;35:*.gz=01;31"), "PYTHON_BASIC_REPL": "",
    }  # fmt: skip
    inside = ["sh", "-c", 'hostname box; exec "$@"', "sh", *scene.argv]
    argv = ["unshare", "--uts", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child", *inside]
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.chdir(folder)
            os.execvpe(argv[0], argv, environment)
        finally:
            os._exit(127)
    emulator, keys, output, pauses = Emulator(columns, rows), list(scene.keys), bytearray(), list[int]()
    try:
        while True:
            ready, _, _ = select.select([terminal], [], [], QUIET if scene.keys and output else PATIENCE)
            if ready:
                try:
                    data = os.read(terminal, 65536)
                except OSError:
                    break
                if not data:
                    break
                output += data
                emulator.feed(data)
                os.write(terminal, emulator.take_replies())
            elif keys:
                pauses.append(len(output))
                os.write(terminal, keys.pop(0).encode())
            else:
                break
    finally:
        os.kill(pid, signal.SIGKILL)
        os.close(terminal)
        os.waitpid(pid, 0)
    return bytes(output), pauses


def main() -> int:
    """Record the named scenes, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene", nargs="*", help="only these")
    wanted = parser.parse_args().scene
    for scene in SCENES:
        if wanted and scene.name not in wanted:
            continue
        for columns, rows in scene.sizes:
            with tempfile.TemporaryDirectory(prefix="demo", ignore_cleanup_errors=True) as folder:
                subprocess.run(["bash", "-c", FILL, "bash", folder], check=True, cwd=folder)
                data, pauses = record(scene, columns, rows, folder)
            path = HERE / f"{scene.name}-{columns}x{rows}.raw"
            path.write_bytes(data)
            if scene.name == "vttest":
                path.with_suffix(".pauses").write_text("".join(f"{pause}\n" for pause in pauses))
            sys.stdout.write(f"{path.name}: {len(data)} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
