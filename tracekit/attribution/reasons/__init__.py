"""The reasons for idle time: what would have to change, and what held the host."""
