"""What a gateway counts and tells: uses of each version, failing servers, events, alerts and webhooks."""
