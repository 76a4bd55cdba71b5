"""Label Studio: its ML backend protocol, served at once and without waiting for a model."""

from backend.frontends.label_studio.routes import blueprint

__all__ = ["blueprint"]
