"""What the commands do, as functions: the same names and defaults, and objects in place of what is printed."""
