"""The key store on a directory or an object store: list, get and put-if-absent are all it needs."""
