"""Between trained networks: mixtures of their weights, the error on lines and planes."""
