"""Chapter 5: Chen et al. 2021, tickets stretched and squeezed to networks of another depth."""

from . import arms as arms
