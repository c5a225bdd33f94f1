"""Where the time goes in IMU multimodal LLMs: capture, read and explain Kineto traces."""

__version__ = "0.1.0"
