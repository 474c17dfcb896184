"""What is found in activations and attention: probes, similarity, interventions."""
