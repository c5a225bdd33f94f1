"""How busy each device was, and with what."""
