"""Stage instances, phases and requests, and which work is theirs."""
