"""Secrets that are presented to others, or signed with: reversible, so sealed and never a kind of Key."""
