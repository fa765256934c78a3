"""What `mix-precision` is made of: formats, what each costs a layer, and the search."""
