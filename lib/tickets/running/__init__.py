"""Doing: which cells are missing, who computes them, and what happens to what they leave."""
