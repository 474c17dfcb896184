"""layerscope: what a language model encodes, layer by layer, before and after fine-tuning."""
