"""Sessions: a key is exchanged for a short-lived signed token that can do no more than it."""
