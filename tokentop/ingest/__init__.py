"""Disk -> bytes -> facts: finding the agents' logs and reading what is new in them."""
