import torch
from sklearn.datasets import load_digits
from tickets.chapters.own import Own
from tickets.pruning.imp import starts
from tickets.results.store import Store
from tickets.running.run import run
from torch import nn

digits = load_digits()
x, y = torch.tensor(digits.images / 16).float(), torch.tensor(digits.target)
train, test = (x[:1500], y[:1500]), (x[1500:], y[1500:])
net = nn.Sequential(nn.Flatten(), nn.Linear(64, 80), nn.ReLU(), nn.Linear(80, 10))

own = Own(net, train, test, level=6, least=1, margin=1, steps=400, rate=0.3)
store = Store("build/own", recorded=None)
table = run(own.cells(replicates=5), engine="serial", store=store)
print(own.verdicts(table).round(1).to_string(index=False))
(start,) = starts([own.ticket], own.model, store)
print(f"the ticket of replicate 0: {start.mask.kept} of {start.mask.size} weights")
