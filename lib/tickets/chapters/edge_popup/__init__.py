"""Chapter 6: Ramanujan et al. 2020, masks that are searched for in networks that are never trained."""
