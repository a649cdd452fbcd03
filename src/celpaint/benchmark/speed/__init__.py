"""Time and memory of single parts, one module each; every function returns a Markdown table."""
