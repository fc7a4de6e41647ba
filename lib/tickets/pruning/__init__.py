"""From trained weights to masks, and what a network starts from and leaves."""
