"""Ways to run a compiled library: natively, or under an emulator of its target."""
