"""The virtual machine: QEMU's command line, its process, its monitor, its console."""
