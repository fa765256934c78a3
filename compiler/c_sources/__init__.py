"""A lowered program for a microcontroller -> plain C files."""
