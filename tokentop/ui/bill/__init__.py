"""The view "Limits & bill": each part gives lines of (text, role) for a width, the page puts them together. Pure."""
