"""What figures share: words, colours, intervals, and how one is shown."""
