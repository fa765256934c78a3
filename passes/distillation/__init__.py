"""What a program learns from the original: outputs, hidden states, attention maps."""
