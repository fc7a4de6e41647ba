"""Chapter 2: Frankle et al. 2019 and 2020, rewinding and linear mode connectivity."""

from . import arms as arms
