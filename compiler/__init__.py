"""The compiler core: program, tracing, passes' base, lowering, planning, artifact, command line."""
