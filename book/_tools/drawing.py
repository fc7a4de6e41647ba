"""Train the networks of the page that a reader draws on, and record them: book/results/drawing.safetensors and .json.

Each begins as chapter 1 recorded it, by mask and seed, so that no ladder is trained again. Minutes on one core.
"""

import time

from build_book import ROOT, told
from tickets.chapters import drawing
from tickets.results.provenance import provenance
from tickets.running.work import settle


def main(folder=ROOT / "book/results", begun=None, device="cpu"):
    """Train, measure what a byte a weight costs, write."""
    settle(device)
    begun, ended, facts = begun or drawing.starts(), {}, {}
    for name, at in begun.items():
        began = time.perf_counter()
        with told(name):
            ended[name], result = drawing.trained(at, device)
        made = provenance(device, "mlp", 1, time.perf_counter() - began, at.cell.precision)
        recorded = at.record["result"]["test_accuracy_end"] if at.record else None
        facts[name] = {"recorded": recorded, "again": result["test_accuracy_end"], "provenance": made}
    card = drawing.write(folder, begun, ended, facts)
    for one in card["networks"]:
        print(f"{one['name']:10} {one['density']:6.1%} {one['accuracy']:.2f} %, in a byte a weight {one['packed']:.2f} %")
    print(f"{card['bytes'] / 2**20:.2f} MiB")


if __name__ == "__main__":
    main()
