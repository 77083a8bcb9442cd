"""The study: norms x seeds, each run in a process of its own, with statistics, tables and a report."""
