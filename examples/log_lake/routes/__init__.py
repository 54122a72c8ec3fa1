"""The operations, by what they are about. No storage code here: each asks one part of the service."""
