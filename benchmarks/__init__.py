"""What `make bench` times: outside the library that it measures."""

FILES = {kind: f"bench_{kind}.json" for kind in ("cpu", "cuda", "parts", "sparseprop")}
"""Where figures are recorded, under book/results, by kind of device; the last two are runs alone, on a CPU."""
