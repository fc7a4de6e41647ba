"""Scores over frozen weights: edge-popup as a path of training, what it is set against, and what is found."""

from . import arms as arms
