"""Training with shift weights and hardware activations."""
