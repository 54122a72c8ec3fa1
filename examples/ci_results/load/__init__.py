"""The loader (CI-89, CI-90): fills the service with the expected and actual files of a test suite."""
