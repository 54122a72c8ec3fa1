"""Two small clients, with the standard library alone: `send` lines to a stream, `query` streams."""
