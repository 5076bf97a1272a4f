"""Memories against real processes, servers and files."""
