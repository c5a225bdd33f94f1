"""Why the GPU waited: every idle nanosecond in one class."""
