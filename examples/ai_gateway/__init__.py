"""Two callers, one key of a model provider, and Keyrack's gateway between them."""
