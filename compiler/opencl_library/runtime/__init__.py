"""The run time's C sources; they become part of every library for a GPU."""
