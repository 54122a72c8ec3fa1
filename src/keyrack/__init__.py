"""Keyrack."""
