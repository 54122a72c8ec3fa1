"""Tables and every SQL statement: nothing outside of this package knows SQL."""
