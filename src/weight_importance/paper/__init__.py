"""The numbers that the paper quotes, as LaTeX macros, each with the rows that it comes from."""
