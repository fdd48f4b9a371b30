"""Ways to round float weights to shift weights without labels."""
