"""Collectives: each call, their sums by process group, and who comes late among ranks."""
