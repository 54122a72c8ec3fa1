"""The engine's rules: standard library only, no I/O, no clock, no globals that change."""
