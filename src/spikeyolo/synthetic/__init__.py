"""Generated images and recordings, for the demo and the tests."""
