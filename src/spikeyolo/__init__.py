"""Object detection with spiking neural networks, from training to the chip."""

__version__ = "0.1.0"
