"""Chapter 1: Frankle & Carbin 2019, winning tickets."""

from . import arms as arms
