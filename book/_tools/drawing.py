"""Train the networks of the page that a reader draws on, into book/results: minutes on one core."""

from build_book import ROOT, told
from tickets.chapters import drawing
from tickets.running.work import settle

if __name__ == "__main__":
    settle("cpu")
    print(drawing.record(ROOT / "book/results", drawing.starts(), told))
