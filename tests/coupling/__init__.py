"""What must be pruned together, and that pruning is exact."""
