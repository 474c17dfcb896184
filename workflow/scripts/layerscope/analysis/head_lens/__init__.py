"""The head lens: the head of a fine-tuned model put on each of its layers."""
