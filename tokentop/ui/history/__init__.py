"""The history on the screen: its lines, its columns."""
