"""The layers of images that a sandbox's disk and its image are, read beside the sandbox, from the guest runtime.

Nothing of the agent imports this but the server that ``builtin`` forks for it.
"""
