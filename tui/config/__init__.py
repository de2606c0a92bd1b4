"""The operator's own settings of the console: the ``[console]`` table of config.toml."""

from __future__ import annotations

from .commands import WHERE, CustomCommand, filled
from .file import ConfigFile
from .model import Config, read

__all__ = ["WHERE", "Config", "ConfigFile", "CustomCommand", "filled", "read"]
