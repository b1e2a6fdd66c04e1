"""Statements computed from tidy tables, once each, for notebooks, tables and the paper alike."""
