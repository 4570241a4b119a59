"""Components that come with tilebound: one small module for each group of them, listed in `registry`."""
