"""Data sets of video with IMU."""
