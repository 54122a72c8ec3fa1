"""What operations take and answer."""
