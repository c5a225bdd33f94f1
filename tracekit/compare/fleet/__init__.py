"""See docs/fleet.md."""
