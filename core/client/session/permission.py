"""What the user's settings let programs do to the terminal, outside of its screen."""

from __future__ import annotations

from .refusals import allowed


def allowed_here() -> frozenset[str]:
    """The kinds in the setting ``attach_allow``. Raises `InvalidRequest` for settings that make no sense."""
    from sandtop.core.paths import find
    from sandtop.core.settings import Settings

    path = find().config / "config.toml"
    return allowed(Settings.load(path).attach_allow, f"{path}: attach_allow")
