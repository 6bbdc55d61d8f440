"""Reading the published checkpoints, without running anything they contain."""
