"""An exported model: its network, its files, its predictions."""
