"""Fine-tuning and pre-training, with checkpoints that survive a kill."""
