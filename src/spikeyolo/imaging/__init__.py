"""Reading and writing images, putting them on the canvas that the network sees, and drawing on them."""
