"""Starts a command: its words, its help page, its process, its folder, and its exit code."""
