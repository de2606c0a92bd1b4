"""The file server: answers the core's calls about files, in a forked child that has become the user it answers for."""

from __future__ import annotations
