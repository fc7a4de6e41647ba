"""Networks as populations: layers, and the architectures of the papers."""
