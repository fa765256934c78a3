"""How quantize and dequantize nodes become integer operators; used by fold_quantization.py."""
