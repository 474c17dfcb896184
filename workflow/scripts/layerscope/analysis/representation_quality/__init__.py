"""Quality of representations without labels: entropy, effective rank, curvature, invariance."""
