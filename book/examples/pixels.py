import numpy as np
from tickets.chapters.collection import ticket

LENET = "01_winning_tickets", "LeNet"
for level in (0, 5, 10, 15):
    masks = [ticket(*LENET, level, replicate).mask for replicate in range(10)]
    read = np.mean([mask["fc1.weight"].any(axis=0).sum() for mask in masks])
    kept = masks[0].density
    print(f"{kept:6.1%} of the weights kept: {read:.0f} of 784 pixels are read")
