"""One trial: data, networks, training; and the model that comes out of it."""
