"""The two demos: images and event cameras."""
