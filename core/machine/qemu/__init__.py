"""The driver for QEMU: its command line, its process, its monitor, and which accelerator it can use on a host."""
