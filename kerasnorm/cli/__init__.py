"""The command lines: each module parses argv, calls the library and prints the result."""
