"""Chapter 8: Malach et al., Orseau et al. and Pensia et al. 2020, tickets in random networks as subset sums."""

from . import arms as arms
