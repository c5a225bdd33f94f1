"""Events to numpy columns, exactly."""
