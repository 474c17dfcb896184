"""What people use: a study in a notebook, and the command `layerscope`."""
