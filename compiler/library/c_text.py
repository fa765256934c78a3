"""C spellings: element types, string literals, comments."""

# Element type of each dtype. Half precision travels as bits: C has no portable type for it.
C_TYPES = {
    "float32": "float",
    "float64": "double",
    "float16": "uint16_t",
    "bfloat16": "uint16_t",
    "int64": "int64_t",
    "int32": "int32_t",
    "int16": "int16_t",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "bool": "uint8_t",
}

# Enumerators of enum penjing_dtype, with the values that every header states.
DTYPE_NAMES = {dtype: f"PENJING_{dtype.upper()}" for dtype in C_TYPES}
DTYPE_CODES = {dtype: code for code, dtype in enumerate(C_TYPES, start=1)}


def quote(text: str) -> str:
    """A C string literal; bytes that are not plain ASCII are written in octal."""
    plain = (chr(b) if 32 <= b < 127 and b not in b'"\\?' else f"\\{b:03o}" for b in text.encode())
    return f'"{"".join(plain)}"'


def comment(text: str) -> str:
    """Text that cannot end the comment it stands in."""
    return text.replace("*/", "* /").replace("/*", "/ *").replace("\n", " ")
