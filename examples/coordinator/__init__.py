"""A job service that machines call: every caller has its own key, and nothing but `/livez` is open."""
