"""The HTTP API from Python. Importing this loads no HTTP library; making a Client does."""

from keyrack.client.client import Client
from keyrack.client.values import Answer, Health, KeyView, NewKey, NewSession, Page, VersionView

__all__ = ["Answer", "Client", "Health", "KeyView", "NewKey", "NewSession", "Page", "VersionView"]
