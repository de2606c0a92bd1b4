"""Dockerfiles: what one says, checked as a whole before anything of it is done. No I/O.

Source: Docker's "Dockerfile reference". What is not supported is refused by its line and its name.
"""

from __future__ import annotations

from sandtop.core.dockerfile.ignore import Ignore
from sandtop.core.dockerfile.instructions import Instruction
from sandtop.core.dockerfile.settings import Settings, change
from sandtop.core.dockerfile.stages import Dockerfile, Stage, parse
from sandtop.core.dockerfile.words import expand, split

__all__ = ["Dockerfile", "Ignore", "Instruction", "Settings", "Stage", "change", "expand", "parse", "split"]
