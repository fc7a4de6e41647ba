"""A small library to train, prune and measure lottery tickets; the book that it serves explains it."""

__version__ = "0.1.0"
