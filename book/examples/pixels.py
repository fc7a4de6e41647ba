from tickets.chapters.collection import ticket

for level in (0, 5, 10, 15):
    masks = [ticket("01_winning_tickets", "LeNet", level, replicate).mask for replicate in range(10)]
    read = sum(mask["fc1.weight"].any(axis=0).sum() for mask in masks) / len(masks)
    print(f"{masks[0].density:6.1%} of the weights kept: {read:.0f} of 784 pixels are read")
