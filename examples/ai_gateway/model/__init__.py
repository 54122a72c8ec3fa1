"""The upstream: a model provider with the OpenAI chat API, its own keys, errors and rate limits."""
