"""What `PruneChannels` is made of: criteria, allocation, refits."""
