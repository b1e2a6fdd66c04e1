"""Audit of public implementations of importances: the formula that each computes, and its error."""
