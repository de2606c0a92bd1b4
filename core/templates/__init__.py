"""Templates: machines that were booted once and saved, from which sandboxes go on in a tenth of the time of a boot.

    async with …:                                   # the core's nursery
        templates = Templates(paths, nursery)
        await templates.recover()                   # what an earlier core left half done
        lease = await templates.get(shape, spec, progress)
        if lease is not None:
            with lease:
                lease.fill_overlay(…)
                async with start(lease.restored(spec), …):
                    …

A template is the memory of such a machine, the state of its devices, and for a fresh sandbox its overlay disk, which
that memory has mounted. It is never written to once it is in its place.
"""

from __future__ import annotations

from sandtop.core.templates.key import Kind, Shape
from sandtop.core.templates.template import Lease
from sandtop.core.templates.templates import Templates, Warm
from sandtop.core.templates.trial import trial_of

__all__ = ["Kind", "Lease", "Shape", "Templates", "Warm", "trial_of"]
