"""Export: a trained run in, a model folder out that needs no PyTorch."""
