"""A network of a reader's own: a torch module and tensors as a study, with a ticket, its controls and a verdict."""

from .study import Own as Own
