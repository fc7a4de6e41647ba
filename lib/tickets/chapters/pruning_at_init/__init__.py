"""Pruning before training: what chapter 5 sets beside its tickets."""
