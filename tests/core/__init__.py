"""Tests of the engine's rules, one file for each module of keyrack.core."""
