"""Fourier transforms, windows and mel scales."""

import numpy as np
import torch
from torch import Tensor

from ..call import Call
from ..registry import onnx_op


@onnx_op("DFT")
def discrete_fourier_transform(call: Call) -> Tensor:
    x = call.tensor(0)
    given = call.attribute("axis", 1) if call.opset < 20 else -2
    given = call.known_ints(2, "its axis")[0] if call.has(2) else given
    if not -x.dim() <= given < x.dim() or given % x.dim() == x.dim() - 1:
        raise call.refused(f"axis {given} of an input of {x.dim()} axes")
    axis, is_half = given % x.dim(), bool(call.attribute("onesided", 0))
    size = x.shape[axis]
    is_inverse = bool(call.attribute("inverse", 0))
    size = 2 * (size - 1) if is_inverse and is_half else size
    size = call.known_ints(1, "its length")[0] if call.has(1) else size
    signal = _complex(call, x)
    if not is_inverse:
        return _transformed(call, signal, size, axis, is_half)
    if is_half:
        real: Tensor = torch.fft.irfft(signal, size, axis)
        return real.unsqueeze(-1)
    return torch.view_as_real(torch.fft.ifft(signal, size, axis))


def _complex(call: Call, x: Tensor) -> Tensor:
    """What the last axis holds: a real number, or its real and imaginary part."""
    if x.shape[-1] == 1:
        return x[..., 0]
    if x.shape[-1] != 2:
        raise call.refused(f"its input has {x.shape[-1]} parts of complex numbers")
    return torch.complex(x[..., 0], x[..., 1])


def _transformed(call: Call, signal: Tensor, size: int, axis: int, is_half: bool) -> Tensor:
    """The transform along an axis, parts of complex numbers last."""
    if not is_half:
        return torch.view_as_real(torch.fft.fft(signal, size, axis))
    if signal.is_complex():
        raise call.refused("half of the transform of complex numbers")
    return torch.view_as_real(torch.fft.rfft(signal, size, axis))


@onnx_op("STFT")
def short_time_fourier_transform(call: Call) -> Tensor:
    x, step = call.tensor(0), call.known_ints(1, "its step")[0]
    window = call.optional(2)
    size = x.shape[1] if window is None else window.shape[0]
    size = call.known_ints(3, "its length")[0] if call.has(3) else size
    if step < 1 or not 1 <= size <= x.shape[1] or (window is not None and len(window) != size):
        raise call.refused(f"frames of {size} each {step} steps of {x.shape[1]}")
    frames = _frames(x, size, step)  # [N, F, size, 1 or 2]
    frames = frames if window is None else frames * window.unsqueeze(-1)
    is_half = bool(call.attribute("onesided", 1))
    return _transformed(call, _complex(call, frames), size, 2, is_half)


def _frames(x: Tensor, size: int, step: int) -> Tensor:
    return x.unfold(1, size, step).transpose(2, 3)


@onnx_op("HannWindow")
def hann_window(call: Call) -> np.ndarray:
    return _window(call, [0.5, -0.5])


@onnx_op("HammingWindow")
def hamming_window(call: Call) -> np.ndarray:
    return _window(call, [25 / 46, -21 / 46])


@onnx_op("BlackmanWindow")
def blackman_window(call: Call) -> np.ndarray:
    return _window(call, [0.42, -0.5, 0.08])


def _window(call: Call, factors: list[float]) -> np.ndarray:
    """The sum of factors[k] cos(2 pi k n / N); N is one less for a window that is symmetric."""
    size = call.bounded(call.known_ints(0, "its size")[0])
    period = size if call.attribute("periodic", 1) else size - 1
    angles = 2 * np.pi * np.arange(size) / max(period, 1)
    total = sum(factor * np.cos(k * angles) for k, factor in enumerate(factors))
    return np.asarray(total).astype(_output_dtype(call))


@onnx_op("MelWeightMatrix")
def mel_weight_matrix(call: Call) -> np.ndarray:
    """Triangles, [bins of the spectrum, bins of the mel scale], as ONNX defines their corners."""
    names = "its number of bins", "its length", "its rate", "its lower edge", "its upper edge"
    bins, length, rate, lower, upper = (
        call.known(index, name).item() for index, name in enumerate(names)
    )
    call.bounded((abs(bins) + 2) * (abs(length) + 2))
    low, high = (2595 * np.log10(1 + edge / 700) for edge in (lower, upper))
    mels = np.arange(bins + 2) * (high - low) / (bins + 2) + low
    hertz = 700 * (10 ** (mels / 2595) - 1)
    corners = ((length + 1) * hertz // rate).astype(int)
    places = np.arange(length // 2 + 1)
    result = np.zeros((len(places), bins))
    for index, (left, center, right) in enumerate(
        zip(corners[:-2], corners[1:-1], corners[2:], strict=True)
    ):
        rises = (places >= left) & (places <= center) & (center > left)
        result[rises, index] = (places[rises] - left) / (center - left or 1)
        if center == left and center < len(places):
            result[center, index] = 1
        falls = (places >= center) & (places < right)
        result[falls, index] = (right - places[falls]) / (right - center or 1)
    return result.astype(_output_dtype(call))


def _output_dtype(call: Call) -> np.dtype:
    from onnx.helper import tensor_dtype_to_np_dtype

    return np.dtype(tensor_dtype_to_np_dtype(call.attribute("output_datatype", 1)))
