"""One trial: data, networks, training; and the resulting model."""
