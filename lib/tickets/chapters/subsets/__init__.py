"""Subsets that add up to a target: the best there is, and what cheaper searches find. No chapter; several use it."""
