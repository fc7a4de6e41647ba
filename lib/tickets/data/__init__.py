"""Images: verified files, tensors in memory, and what a population reads of them."""
