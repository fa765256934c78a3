"""What quantizes programs: which values, in which steps, and how errors are kept small."""
