"""The operations: each hands what it was given to a service."""
