"""A Keyrack server as a store: it proves, and the accesses of what it proved are decided here."""
