"""PyTorch side: codebooks, calibration, the integer golden model, the compiler to programs."""
