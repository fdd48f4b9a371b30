"""The codec's circuits: feature maps in fewer bits, on the way to memory and back."""
