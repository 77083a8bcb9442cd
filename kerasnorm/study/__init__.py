"""The study: norms x seeds, each run in a process of its own, and what the runs say together."""
