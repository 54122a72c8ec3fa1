"""What Keyrack costs, beside what the same work would cost without it, measured in one run."""
