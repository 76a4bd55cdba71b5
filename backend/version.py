"""The version of this backend, as it tells it to clients."""

VERSION = "0.1.0"
