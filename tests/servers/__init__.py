"""Real servers for the tests, each from a wheel: started on a port of its own, ended by who started it."""
