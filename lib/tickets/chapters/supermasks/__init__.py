"""Chapter 3, masks by themselves: how they are read from training, how they are learned, what they are worth alone."""

from . import arms as arms
