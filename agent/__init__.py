"""The guest agent: runs inside each virtual machine as PID 1. Standard library only."""
