"""The screens of terminals. A process of its own, the screen worker, draws them; the core tells it what to draw.

`sandtop.core.screens.worker` parses what hostile programs write, so it and what only it imports run in that process
alone, never in the core.
"""
