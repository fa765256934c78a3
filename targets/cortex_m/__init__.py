"""How layers of microcontrollers become C: functions over raw pointers and micro-kernels."""
