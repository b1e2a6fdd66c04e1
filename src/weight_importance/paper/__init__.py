"""Numbers that the paper quotes, as LaTeX macros, each with its source rows."""
