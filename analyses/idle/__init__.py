"""Why the GPU waited: by class, and by what would have to change."""
