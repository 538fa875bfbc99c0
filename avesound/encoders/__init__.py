"""Frozen encoders by name: `create_encoder("signal")`."""

from .base import create_encoder, encoder_names, register_encoder

__all__ = ["create_encoder", "encoder_names", "register_encoder"]
