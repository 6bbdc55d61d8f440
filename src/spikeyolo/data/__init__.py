"""Labelled data sets of images and of event recordings behind one face; `open` is where to start."""
