"""Names that OpenCL C has beside the keywords of C: no variable of ours may hide them."""

_TYPES = ("char", "uchar", "short", "ushort", "int", "uint", "long", "ulong", "half")
_VECTORS = (*_TYPES, "float", "double")
_WORDS = """
    kernel global local constant private read_only write_only read_write uniform pipe image1d_t
    image2d_t image3d_t sampler_t event_t queue_t size_t ptrdiff_t intptr_t uintptr_t
    abs abs_diff add_sat all any acos asin atan atan2 atomic_add barrier bitselect cbrt ceil clamp
    clz copysign cos cosh cross ctz degrees distance dot erf erfc exp exp10 exp2 expm1 fabs fdim
    floor fma fmax fmin fmod fract frexp hadd hypot ilogb isequal isfinite isgreater isinf isless
    isnan isnormal isordered isunordered ldexp length lgamma log log10 log1p log2 logb mad mad24
    mad_hi mad_sat max maxmag mem_fence min minmag mix modf mul24 mul_hi nan nextafter normalize
    popcount pow pown powr prefetch printf radians remainder remquo rhadd rint rootn rotate round
    rsqrt select shuffle shuffle2 sign signbit sin sincos sinh smoothstep sqrt step sub_sat tan tanh
    tgamma trunc upsample vec_step INFINITY NAN MAXFLOAT HUGE_VAL INT_MIN INT_MAX LONG_MIN LONG_MAX
    M_E M_PI get_global_id get_local_id get_group_id get_global_size get_local_size get_num_groups
"""

RESERVED = frozenset(_WORDS.split()) | frozenset(
    f"{kind}{lanes}" for kind in _VECTORS for lanes in ("", 2, 3, 4, 8, 16)
)
