"""Chapter 4: Morcos et al. 2019, tickets across datasets and optimizers."""

from . import arms as arms
