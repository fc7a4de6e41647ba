"""Training: one loop, and the numeric paths under it."""
