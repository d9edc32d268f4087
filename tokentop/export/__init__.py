"""A timeline as JSON, Markdown, or one HTML file. Pure: figures in, text out."""
