"""A module that files name in the cases: whoever imports it, fails."""

raise AssertionError("a module was imported because a file names it")
