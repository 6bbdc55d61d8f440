"""Running exported networks, without torch."""
