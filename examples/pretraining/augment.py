"""Turn clean synthetic words into what microphones, rooms and telephones make of them."""

from dataclasses import replace

import torch

N_FFT = 20480
SR = 16000


def uniform(n, low, high, generator):
    return low + (high - low) * torch.rand(n, 1, generator=generator)


def place(waves, n_samples, generator):
    """Put utterances into silence: (n, n_samples), and where each begins and ends.

    Half of them begin at once, as closely trimmed recordings do; edges may be cut a little.
    """
    batch = torch.zeros(len(waves), n_samples)
    begin, end = torch.zeros(len(waves), 1), torch.zeros(len(waves), 1)
    draw = torch.rand(len(waves), 4, generator=generator).tolist()
    for i, wave in enumerate(waves):
        tight, where, cut_head, cut_tail = draw[i]
        head = int(max(0.0, cut_head - 0.7) * 0.25 * len(wave))
        tail = int(max(0.0, cut_tail - 0.7) * 0.25 * len(wave))
        wave = wave[head : len(wave) - tail][:n_samples]
        start = 0 if tight < 0.5 else int(where * (n_samples - len(wave)))
        batch[i, start : start + len(wave)] = wave
        begin[i], end[i] = start, start + len(wave)
    return batch, begin, end


def room(n, generator):
    """Spectra of synthetic rooms: noise that decays exponentially behind the direct sound."""
    length = 4000
    time = torch.arange(length) / SR
    decay = torch.exp(-6.9 * time / uniform(n, 0.05, 0.5, generator))
    tail = torch.randn(n, length, generator=generator) * decay
    tail = tail / tail.square().sum(1, keepdim=True).sqrt()
    wet = 10 ** (uniform(n, -20.0, 0.0, generator) / 20)
    wet = wet * (torch.rand(n, 1, generator=generator) < 0.5)
    impulse = tail * wet
    impulse[:, 0] = 1.0
    return torch.fft.rfft(impulse, n=N_FFT)


def equalizer(n, strength_db, generator):
    """Smooth random gains over frequency: a tilt and slow waves on the octave scale."""
    hz = torch.linspace(0, SR / 2, N_FFT // 2 + 1).clamp_min(60.0)
    octave = torch.log2(hz / 60.0) / 7.0
    gain = uniform(n, -1.0, 1.0, generator) * (octave - 0.5) * 2
    for cycles in (1.0, 2.0, 4.0):
        phase = uniform(n, 0.0, 2 * torch.pi, generator)
        height = torch.randn(n, 1, generator=generator) / 2
        gain = gain + height * torch.cos(2 * torch.pi * cycles * octave + phase)
    return 10 ** (strength_db * gain / 20)


def band(n, generator):
    """Half 8 kHz recordings (a third of them telephones), the rest wide."""
    hz = torch.linspace(0, SR / 2, N_FFT // 2 + 1)
    kind = torch.rand(n, 1, generator=generator)
    narrow = uniform(n, 3300.0, 4000.0, generator)
    high = torch.where(kind < 0.5, narrow, uniform(n, 5000.0, 9000.0, generator))
    low = torch.where(kind < 0.17, uniform(n, 150.0, 350.0, generator), torch.full((n, 1), 20.0))
    steep = uniform(n, 20.0, 120.0, generator)
    return torch.sigmoid((high - hz) / steep) * torch.sigmoid((hz - low) / 20.0)


def noise(n, generator):
    """Coloured noise of unit power, as spectra; the tilt varies from white to brown."""
    hz = torch.linspace(0, SR / 2, N_FFT // 2 + 1).clamp_min(50.0)
    shape = (hz / 1000.0) ** -uniform(n, 0.0, 1.0, generator) * equalizer(n, 4.0, generator)
    spectrum = torch.randn(n, len(hz), 2, generator=generator) * shape.unsqueeze(2)
    spectrum = torch.view_as_complex(spectrum)
    return spectrum / spectrum.abs().square().mean(1, keepdim=True).sqrt()


class Conditions:
    """A stock of rooms, microphones, bands and noises; every utterance draws from it."""

    def __init__(self, n, generator):
        self.generator = generator
        self.band = band(n, generator)
        self.filter = room(n, generator) * equalizer(n, 6.0, generator) * self.band
        self.noise = noise(max(1, n // 2), generator)
        self.snr_db = uniform(n, 3.0, 50.0, generator)

    def degrade(self, waves, n_samples):
        """Place, filter, reverberate, add noise, limit the band, vary the gain."""
        n, generator = len(waves), self.generator
        clean, begin, end = place(waves, n_samples, generator)
        babble = clean.roll(1, 0) * 10 ** (-uniform(n, 5.0, 25.0, generator) / 20)
        clean = clean + babble * (torch.rand(n, 1, generator=generator) < 0.1)
        power = clean.square().sum(1, keepdim=True) / (end - begin)
        kind = torch.randint(0, len(self.band), (n,), generator=generator)
        hiss = torch.randint(0, len(self.noise), (n,), generator=generator)
        level = (power * 10 ** (-self.snr_db[kind] / 10) * N_FFT).sqrt()
        spectrum = torch.fft.rfft(clean, n=N_FFT) * self.filter[kind]
        spectrum += self.noise[hiss] * (self.band[kind] * level)
        out = torch.fft.irfft(spectrum, n=N_FFT)[:, :n_samples]
        # Most recordings are cut around the word; what follows is digital silence.
        at = torch.arange(n_samples)
        before = begin - uniform(n, 0.0, 1600.0, generator)
        after = end + uniform(n, 0.0, 3200.0, generator)
        cut = torch.rand(n, 1, generator=generator) < 0.6
        out = torch.where(cut & ((at < before) | (at > after)), 0.0, out)
        drive = uniform(n, 0.5, 4.0, generator)
        clipped = torch.tanh(out * drive) / drive
        out = torch.where(torch.rand(n, 1, generator=generator) < 0.15, clipped, out)
        return out * 10 ** (uniform(n, -40.0, 0.0, generator) / 20)


def warped_units(network, batch, generator, n_groups=8, most=0.12):
    """Front end of `network`, its mel scale stretched by a random factor for each group."""
    original = network.patches
    units = []
    for group in batch.chunk(n_groups):
        factor = 1.0 + most * (2 * torch.rand((), generator=generator).item() - 1)
        patches = replace(original, sr=round(SR * factor))
        units.append(network._relative(torch.stack([patches.log_mel(clip) for clip in group])))
    return torch.cat(units)


def mask(units, generator):
    """Blank one band range and one time range of half of the units (SpecAugment)."""
    n, n_frames, n_bands = units.shape
    for size, most, shape in ((n_frames, 10, (1, -1, 1)), (n_bands, 7, (1, 1, -1))):
        width = torch.randint(0, most, (n, 1, 1), generator=generator)
        width = width * (torch.rand(n, 1, 1, generator=generator) < 0.5)
        start = torch.randint(0, size, (n, 1, 1), generator=generator)
        at = torch.arange(size).view(shape)
        units = torch.where((at >= start) & (at < start + width), units.mean(), units)
    return units
