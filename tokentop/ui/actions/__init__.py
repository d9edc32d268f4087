"""What is done to processes, in words."""
