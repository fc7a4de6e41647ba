import numpy as np
from tickets.chapters.collection import ticket

for layer in ("fc1.weight", "fc2.weight", "fc3.weight"):
    shares = []
    for replicate in range(10):
        found = ticket("01_winning_tickets", "LeNet", 10, replicate)
        size, kept = abs(found.weights[layer]), found.mask[layer]
        large = size >= np.quantile(size, 0.9)
        shares.append((kept & large).sum() / kept.sum())
    said = f"{np.mean(shares):.1%} of what is kept began in the largest tenth"
    print(f"{layer}: {said}, sd {np.std(shares, ddof=1):.1%}")
