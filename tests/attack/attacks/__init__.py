"""All attacks, a file a theme."""

from attacks import costly, frames, handshake, memory, places, slow, store, tenant  # noqa: F401
