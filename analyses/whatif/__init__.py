"""What a change would save, by a replay of what waited for what."""
