"""What administrators make and change: credit groups, rotations of their keys, APIs and balances."""
