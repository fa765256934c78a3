"""What one inference on a microcontroller needs: memory, flash, instructions."""
