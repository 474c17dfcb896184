"""layerscope: what a language model encodes, layer by layer, before and after fine-tuning."""

__version__ = "0.1.0"
