"""The way out of a sandbox that has no network device: names are asked of the core, and connections go to it.

`wayout` has the guest's kernel hand over every TCP connection that leaves this machine, and `egress` passes each on as
a stream of the link: the core decides. `dns` reads and writes what programs send to the resolver, `names` has an
address for each name. Nothing here makes anything safe: whoever is root in the guest can replace all of it.
"""
