"""A recording of the user's own, or a generated one."""
