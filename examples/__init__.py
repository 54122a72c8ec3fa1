"""Reference services: each shows Keyrack in a service that somebody could run."""
