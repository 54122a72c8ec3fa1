"""The management API, a module a resource; each route is one call of the engine."""
