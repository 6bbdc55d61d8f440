"""Out of PyTorch: the formats that networks are exported to."""
