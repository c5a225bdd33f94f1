"""From stage to kernel: what is inside what."""
