"""How near GEMM and attention came to the device's peaks, and the least time each stage needs."""
