"""Run a command so many times and print the seconds of each, from its spawn to its end: ``timer.py RUNS COMMAND…``.

It runs on the host, in the image's files, and in the guest: there nothing of sandtop's lies between it and the command.
"""

import os
import sys
import time


def main() -> int:
    runs, command = int(sys.argv[1]), sys.argv[2:]
    with open(os.devnull, "r+b") as null:
        quiet = [(os.POSIX_SPAWN_DUP2, null.fileno(), number) for number in (0, 1, 2)]
        for _ in range(runs):
            begun = time.perf_counter()
            pid = os.posix_spawnp(command[0], command, os.environ, file_actions=quiet)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            took = time.perf_counter() - begun
            if status != 0:
                print(f"{command} ended with {status}", file=sys.stderr)
                return 1
            print(f"{took:.6f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
