"""Templates: machines that were booted once and saved, from which sandboxes go on in a tenth of the time of a boot.

    async with …:                                   # the core's nursery
        templates = Templates(paths, driver, nursery, boot_seconds)
        await templates.recover()                   # what an earlier core left half done
        template = await templates.get(shape, spec, progress)
        if template is not None:
            with template:
                await template.fill_overlay(…)
                async with driver.start(template.restored(spec), …):
                    …

A template is the memory of such a machine, the state of its devices, and for a fresh sandbox its overlay disk, which
that memory has mounted. It is never written to once it is in its place.
"""

from __future__ import annotations

from sandtop.core.templates.key import Kind, Shape
from sandtop.core.templates.template import Template
from sandtop.core.templates.templates import TemplateInfo, Templates
from sandtop.core.templates.trial import trial_of

__all__ = ["Kind", "Shape", "Template", "TemplateInfo", "Templates", "trial_of"]
