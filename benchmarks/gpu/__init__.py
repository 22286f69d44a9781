"""For whoever has a GPU: what to pack for a machine without network, and what to run there. See README.md beside it."""
