"""Trained weights that come with the package, by name, and images to try them on."""
