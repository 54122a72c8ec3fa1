"""Keyrack as a server: one place for many services, in any language."""
