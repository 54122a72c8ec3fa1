"""Other people's APIs behind our keys: upstreams, credits, and the requests that are carried."""
