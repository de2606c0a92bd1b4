"""How many files a process may have open at once: the soft limit of getrlimit(2), up to the hard one."""

from __future__ import annotations

import resource


def possible(wanted: int) -> int:
    """``wanted``, or the hard limit where that is lower."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def limit(wanted: int) -> int:
    """Set the soft limit of this process, and of those that it will start, to what is `possible`; it is returned."""
    files = possible(wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return files
