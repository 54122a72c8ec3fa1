"""A service over the results of regression tests: users, scoped tokens, runs, outputs, diffs, logs, files."""
