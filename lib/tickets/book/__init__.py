"""Pages: verdicts as tables, and the pieces of a chapter."""
