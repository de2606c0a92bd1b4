"""The former name of `sandtop.agent.wire`, for scripts that were written for it; gone with the next release."""

from __future__ import annotations

from .wire import *  # noqa: F403  # the same names
