"""What `RemoveLayers` is made of: finding, scoring and healing blocks."""
