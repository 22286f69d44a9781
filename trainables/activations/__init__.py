"""Output of the frozen part of a network: computed once, stored, shared."""
