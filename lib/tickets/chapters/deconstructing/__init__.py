"""Chapter 3: Zhou et al. 2019, deconstructing lottery tickets."""

from . import arms as arms
