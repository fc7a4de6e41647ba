import numpy as np
from tickets.chapters.collection import ticket

for layer in ("fc1.weight", "fc2.weight", "fc3.weight"):
    shares = []
    for replicate in range(10):
        found = ticket("01_winning_tickets", "LeNet", 10, replicate)
        size, kept = abs(found.weights[layer]), found.mask[layer]
        large = size >= np.quantile(size, 0.9)
        shares.append((kept & large).sum() / kept.sum())
    mean, sd = np.mean(shares), np.std(shares, ddof=1)
    print(f"{layer}: {mean:.1%} of what is kept began in the largest tenth, sd {sd:.1%}")
