"""What the host did to launch the work, and how long the work waited."""
