"""IMU2CLIP."""
