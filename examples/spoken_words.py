"""Ten short words as a simple voice says them, and their features: 49 frames of 10 numbers."""

import numpy as np

# Vowels and voiced sounds by their first three formants in Hz, others by the band of their hiss.
VOICED = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
    "n": (250, 1450, 2300),
    "l": (360, 1150, 2700),
    "r": (420, 1250, 1600),
    "d": (200, 1700, 2600),
    "g": (200, 1300, 1900),
}
HISSES = {"s": (2800, 4000), "f": (1200, 3900), "t": (2200, 3800), "p": (300, 1100)}
WORDS = ["yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "silence", "other"]
SOUNDS = ["ies", "nou", "aap", "daun", "left", "rait", "oon", "off", "stop", "gou", ""]
RATE, FRAME, HOP, BANDS = 8000, 320, 160, 20


def say(word: str, random: np.random.Generator) -> np.ndarray:
    """One second of sound; speaker, speed, loudness, moment and background noise are random."""
    spelled = [*SOUNDS, "".join(random.choice(list("aeiounlrsf"), 4))]
    sounds = spelled[WORDS.index(word)]
    wave = 0.02 * random.random() * random.standard_normal(RATE)
    start = int(random.integers(400, 2200))
    pitch, tract = random.uniform(90, 230), random.uniform(0.9, 1.15)
    for sound in sounds:
        time = np.arange(int(random.uniform(700, 1300))) / RATE
        if sound in VOICED:
            tones = pitch * random.uniform(0.95, 1.05) * np.arange(1, 30)[:, None]
            near = [np.exp(-(((tones - tract * f) / 160) ** 2)) for f in VOICED[sound]]
            loud = near[0] + 0.6 * near[1] + 0.3 * near[2]
            part = (loud * np.sin(6.283 * tones * time)).sum(0)
        else:
            low, high = (tract * edge for edge in HISSES[sound])
            spectrum = np.fft.rfft(random.standard_normal(len(time)))
            frequency = np.fft.rfftfreq(len(time), 1 / RATE)
            part = np.fft.irfft(spectrum * ((frequency > low) & (frequency < high)), len(time))
        part = part * np.hanning(len(part)) ** 0.5 * random.uniform(0.2, 0.6)
        wave[start : start + len(part)] += part[: RATE - start]
        start += int(0.8 * len(part))
    return wave


def features(wave: np.ndarray) -> np.ndarray:
    """Mel-frequency cepstral coefficients (Davis and Mermelstein 1980): float32[1,49,10]."""
    frames = np.lib.stride_tricks.sliding_window_view(wave, FRAME)[::HOP] * np.hamming(FRAME)
    power = np.abs(np.fft.rfft(frames)) ** 2
    mel = np.linspace(80, 2140, BANDS + 2)  # 2595 log10(1 + f / 700): up to 3976 Hz
    edges = 700 * (10 ** (mel / 2595) - 1)
    place = np.arange(power.shape[1]) * RATE / FRAME
    slopes = [np.interp(place, edges[k : k + 3], [0, 1, 0]) for k in range(BANDS)]
    logs = np.log(power @ np.array(slopes).T + 1e-3)
    cosines = np.cos(np.pi / BANDS * np.outer(np.arange(BANDS) + 0.5, np.arange(10)))
    return (logs @ cosines / BANDS).astype(np.float32)[None]
