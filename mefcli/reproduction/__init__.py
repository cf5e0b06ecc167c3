"""A paper's results measured again: its table beside ours, and its ablations by training."""
