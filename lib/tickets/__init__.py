"""A small library to train, prune and measure lottery tickets; the book that it serves explains it."""

from . import chapters as chapters  # declares every arm: a cell can be named only then
