"""What docs/guest.md says that a program finds, and daemons, on a real machine."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from tests.accelerator import chosen

from sandtop.core.machine import Accelerator
from sandtop.core.machine.qemu.program import find_qemu

from .conftest import eventually

if TYPE_CHECKING:
    from .conftest import Home

pytestmark = [pytest.mark.vm]

LOOK = r"""
kind() { stat -c '%F %a' "$1" 2>&1 | sed 's/.*No such file.*/none/'; }
mounted() { grep " $1 " /proc/mounts | cut -d' ' -f3,4; }
say() { printf '%s=' "$1"; shift; "$@" | tr '\n' ' '; echo; }
for name in fd stdin stdout stderr core; do say $name readlink /dev/$name; done
for name in null zero full random urandom tty ptmx fuse net/tun loop0 kvm vda; do say $name kind /dev/$name; done
for path in / /dev /dev/pts /dev/shm /dev/mqueue /run /proc /sys /sys/fs/cgroup; do say "on $path" mounted $path; done
for path in /tmp /var/tmp /dev/shm /dev/mqueue /run /run/lock /root /etc/hosts /lib/modules; do
    say "at $path" kind $path
done
say mtab readlink /etc/mtab
say lock readlink -f /var/lock
say hosts cat /etc/hosts
say resolver cat /etc/resolv.conf
say environment env
say umask umask
say folder pwd
say descriptors ls /proc/self/fd
say stdin-is readlink /proc/self/fd/0
say blocked grep SigBlk /proc/self/status
say ignored grep SigIgn /proc/self/status
say capabilities grep CapEff /proc/self/status
say filter grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status
say cgroup cat /proc/self/cgroup
say oom cat /proc/self/oom_score_adj
say process ps -o pid=,sid=,pgid=,tty=,cls=,ni= -p $$
say shell echo $$
say addresses cat /proc/sys/kernel/randomize_va_space
say ping cat /proc/sys/net/ipv4/ping_group_range
say ports cat /proc/sys/net/ipv4/ip_unprivileged_port_start
for limit in n c l q s f v t; do say "-$limit" bash -c "ulimit -S$limit; ulimit -H$limit"; done
say first sh -c 'tr "\0" " " </proc/1/cmdline | cut -c1-16'
"""


def test_what_a_program_finds(home: Home, box: str) -> None:
    """Everything that can be asked in one go, as root and without a terminal; then what is different for others."""
    lines = home.do("exec", box, "--", "sh", "-c", LOOK).decode().splitlines()
    found = {name: value.strip() for name, _, value in (line.partition("=") for line in lines)}
    mode = {
        name: found[f"at {name}"] for name in ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/lock")
    }
    assert set(mode.values()) == {"directory 1777"}
    assert (found["at /run"], found["at /root"]) == ("directory 755", "directory 700")
    links = {name: found[name] for name in ("fd", "stdin", "stdout", "stderr", "core", "mtab", "lock")}
    assert links == {
        "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
        "core": "/proc/kcore", "mtab": "/proc/mounts", "lock": "/run/lock",
    }  # fmt: skip
    devices = [found[name] for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx")]
    assert devices == ["character special file 666"] * 7
    assert [found[name] for name in ("fuse", "net/tun", "loop0", "kvm", "at /lib/modules")] == ["none"] * 5
    assert found["vda"] == "block special file 600"
    mounts = {
        name[3:]: set(re.split("[ ,]", value)) for name, value in found.items() if name.startswith("on ")
    }
    assert {"overlay", "rw"} <= mounts["/"]
    assert {"devpts", "gid=5", "mode=620", "ptmxmode=666", "noexec"} <= mounts["/dev/pts"]
    assert {"tmpfs", "nosuid", "nodev"} <= mounts["/dev/shm"] & mounts["/run"]
    assert "noexec" not in mounts["/dev/shm"]
    assert {"mqueue", "nosuid", "nodev", "noexec"} <= mounts["/dev/mqueue"]
    assert {"proc", "rw"} <= mounts["/proc"]
    assert {"sysfs", "rw"} <= mounts["/sys"]
    assert {"cgroup2", "rw"} <= mounts["/sys/fs/cgroup"]
    assert "localhost" in found["hosts"]
    assert f"127.0.1.1\t{box}" in found["hosts"]
    assert found["resolver"] == ""
    shell = found["shell"]
    assert set(found["environment"].split()) == {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", f"HOSTNAME={box}",
        "USER=root", "LOGNAME=root", "PWD=/",
    }  # fmt: skip
    assert (found["umask"], found["folder"], found["stdin-is"]) == ("0022", "/", "/dev/null")
    assert found["descriptors"] == "0 1 2 3", "and the folder that ls itself reads"
    assert found["blocked"].split()[1] == "0" * 16
    assert found["ignored"].split()[1] == "0000000180000000"
    assert found["capabilities"].split()[1] == "000001ffffffffff"
    assert found["filter"].split() == ["NoNewPrivs:", "0", "Seccomp:", "0"]
    assert re.fullmatch(r"0::/sessions/\d+", found["cgroup"])
    assert found["oom"] == "0"
    assert found["process"].split() == [shell, shell, shell, "?", "TS", "0"]
    fixed = chosen() is Accelerator.TCG and find_qemu().finds_code_by_address
    assert found["addresses"] == ("0" if fixed else "2")
    assert (found["ping"].split(), found["ports"]) == (["0", "2147483647"], "0")
    limits = {name[1:]: value for name, value in found.items() if re.fullmatch("-.", name)}
    assert limits == {
        "n": "1024 524288", "c": "0 unlimited", "l": "8192 8192", "q": "819200 819200", "s": "8192 unlimited",
        "f": "unlimited unlimited", "v": "unlimited unlimited", "t": "unlimited unlimited",
    }  # fmt: skip
    assert found["first"] == "/usr/bin/python3"
    # on a terminal; another user, who may write to /dev/stdout, ping and take a port; and bash's <( )
    script = "tty; echo $TERM; ps -o tty= -p $$; cat <(echo sub) >/dev/stdout"
    ping = "ping -c1 -W9 -q 127.0.0.1 | grep -o ' 0% .*ss'"
    bind = "python3 -c \"import socket; socket.socket().bind(('', 80))\" && echo bound >/dev/stderr"
    said = home.do(
        "exec", "-t", "--user", "nobody", box, "--", "bash", "-c", f"{script}; {ping}; {bind}"
    ).decode()
    first, *rest = said.split("\r\n")
    assert re.fullmatch(r"/dev/pts/\d+", first)
    assert rest == ["xterm-256color", first[5:], "sub", " 0% packet loss", "bound", ""]
    piped = home.run(
        "exec", "--user", "nobody", box, "--", "sh", "-c", "echo out >/dev/stdout; echo err >/dev/stderr"
    )
    assert (piped.stdout, piped.stderr) == (b"out\n", b"err\n")


def test_daemons_go_on_and_are_seen_and_ended(home: Home, box: str) -> None:
    """While the core is killed and comes back, too."""
    daemon = "nohup sh -c 'sleep 4321 & sleep 4322' >/dev/null 2>&1 & sleep 4323 & echo started; exit 7"
    begun = time.monotonic()
    done = home.run("exec", "--timeout", "100", box, "--", "sh", "-c", daemon)
    assert (done.returncode, done.stdout) == (7, b"started\n")
    assert time.monotonic() - begun < 60, "nobody waits for them"
    session = home.last_session(box)
    assert (session["state"], session["exit_code"], session["record"]["reason"]) == ("exited", 7, "exited")
    assert session["left"] >= 1
    key = session["id"]
    eventually(lambda: home.session(box, key)["left"] == 4)
    assert home.do("exec", box, "--", "pgrep", "-fc", "^sleep 432").strip() == b"3"
    home.kill_core()
    eventually(lambda: home.session(box, key)["left"] == 4)
    refused = home.run("signal", box, key)
    assert refused.returncode == 125
    assert f"sandtop signal --all {box} {key}" in refused.stderr.decode()
    home.do("signal", "--all", box, key)
    eventually(lambda: home.session(box, key)["left"] == 0)
    assert home.run("signal", "--all", box, key).returncode == 125
    home.do("exec", box, "--", "sh", "-c", "setsid sleep 4324 & exit 0")
    key = home.last_session(box)["id"]
    home.do("sessions", box, "--remove", key, "--remove", key)  # named twice, removed once
    assert home.run("exec", box, "--", "pgrep", "-f", "^sleep 432").returncode == 1
