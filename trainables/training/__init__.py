"""One trial in training: loop, losses, optimiser, checkpoints."""
