"""Idle time by cause."""
