"""What one forward pass of a variant gives: activations, attention, predictions."""
