"""Training a detector: settings, recipes, the run and its folder."""
