"""How a program runs: its command line, environment, GPU, and the fork server."""
