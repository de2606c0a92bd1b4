"""The screens of terminals: a process of its own keeps them, and the core asks it.

`sandtop.core.screens.worker` and what it imports run in that process alone: it parses what hostile programs write.
"""
