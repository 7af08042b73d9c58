"""The golden file of sound, for make_golden.py: ltx-core's own audio VAE and vocoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import make_tiny
import numpy as np
import reference  # noqa: F401 - first: it stands in for what has no CPU build
import tiny_sound
import torch
from log_mel import log_mel
from ltx_core.model.audio_vae.model_configurator import (
    AudioDecoderConfigurator,
    AudioEncoderConfigurator,
    VocoderConfigurator,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tiny_shapes import Shapes

Arrays = dict[str, np.ndarray]


def array(tensor: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor[0].detach().numpy())


def _loaded(module: Any, name: str, shapes: Shapes, prefix: str) -> Any:
    """With the tiny weights under the prefix; buffers may be of another size than it expects."""
    statistics = "audio_vae.per_channel_statistics."
    weights = {
        full.removeprefix(prefix).removeprefix("audio_vae."): torch.from_numpy(
            make_tiny.tensor(name, full, shape)
        )
        for full, shape in shapes.items()
        if full.startswith(prefix) or (full.startswith(statistics) and prefix != "vocoder.")
    }
    for buffer_name, buffer in module.named_buffers():
        if buffer_name in weights:
            buffer.resize_(weights[buffer_name].shape)
    module.load_state_dict(weights, strict=True)
    return module.eval()


def sound(given: Callable[..., torch.Tensor]) -> Arrays:
    """Audio VAEs both ways, and vocoders; of those that extend the band, the first samples too."""
    out: Arrays = {}
    for name, config in tiny_sound.AUDIO_VAES.items():
        shapes, whole = tiny_sound.audio_vae(config), {"audio_vae": config}
        decoder = AudioDecoderConfigurator.from_config(whole)
        encoder = AudioEncoderConfigurator.from_config(whole)
        _loaded(decoder, name, shapes, "audio_vae.decoder.")
        _loaded(encoder, name, shapes, "audio_vae.encoder.")
        channels = config["model"]["params"]["ddconfig"]["z_channels"]
        for count in (1, 2, 11):
            latent = given(f"sound.{name}.{count}", 1, channels, count, 16)
            out[f"{name}.latent.{count}"] = array(latent)
            out[f"{name}.decoded.{count}"] = array(decoder(latent))
        for count in (1, 6, 31):
            mel = given(f"mel.{name}.{count}", 1, 2, count, 64)
            out[f"{name}.mel.{count}"] = array(mel)
            out[f"{name}.encoded.{count}"] = array(encoder(mel))
    for name, config in tiny_sound.VOCODERS.items():
        model = VocoderConfigurator.from_config({"vocoder": config})
        _loaded(model, name, tiny_sound.vocoder(config), "vocoder.")
        for count in (1, 12):
            mel = given(f"vocoder.{name}.{count}", 1, 2, count, 64)
            out[f"{name}.spectrogram.{count}"] = array(mel)
            out[f"{name}.sound.{count}"] = array(model(mel))
            if "bwe" in config:
                out[f"{name}.first.{count}"] = array(model.vocoder(mel))
    return out


def decoded(vae: str, vocoder: str, latents: torch.Tensor) -> np.ndarray:
    """Latents as samples [2, samples]."""
    config = tiny_sound.AUDIO_VAES[vae]
    decoder = AudioDecoderConfigurator.from_config({"audio_vae": config})
    _loaded(decoder, vae, tiny_sound.audio_vae(config), "audio_vae.decoder.")
    how = tiny_sound.VOCODERS[vocoder]
    model = VocoderConfigurator.from_config({"vocoder": how})
    _loaded(model, vocoder, tiny_sound.vocoder(how), "vocoder.")
    return array(model(decoder(latents))).reshape(2, -1)


def encoded(vae: str, samples: np.ndarray) -> torch.Tensor:
    """Samples [samples, 2] at 16 kHz as latents."""
    config = tiny_sound.AUDIO_VAES[vae]
    encoder = AudioEncoderConfigurator.from_config({"audio_vae": config})
    _loaded(encoder, vae, tiny_sound.audio_vae(config), "audio_vae.encoder.")
    mel = np.stack([log_mel(channel) for channel in samples.T]).astype(np.float32)
    latents: torch.Tensor = encoder(torch.from_numpy(mel)[None])
    return latents
