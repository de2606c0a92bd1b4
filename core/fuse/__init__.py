"""A folder of the host in a sandbox: a server of the FUSE protocol, in a process of its own for each mount.

The guest's kernel is the client. Its requests come over a serial port of the machine, which nobody else uses and in
which the core has no part: a core that dies leaves a mount as it is. The guest is hostile, so all that it can say is
read in `server`, `operations` and `bodies`, and carried out on one folder (`folder`, `beneath`) by a process that has
given up what it does not need (`confine`). `process` is the core's side.
"""
