"""The recorded past: where somebody stands in it, how it is read, and what is said of it."""
