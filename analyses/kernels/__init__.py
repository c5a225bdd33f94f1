"""Which kernels each phase ran, and for how long."""
