"""Real networks and real pictures, fetched by name from package registries."""
