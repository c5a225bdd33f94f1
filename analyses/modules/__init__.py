"""Where the time went by nn.Module: frames, markers, and names on the kernels of CUDA graphs."""
