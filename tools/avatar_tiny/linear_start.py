"""Start the VAE as an exact linear codec: each latent cell holds the mean colour of its 8 x 8 pixels.

GroupNorm has 32 groups, so a narrow VAE has one or two channels a group, and its last norm takes away the picture's
mean colour and contrast: trained from random weights it gives grey pictures. The way round, through the residual path
alone:

* every residual branch ends in a zero convolution and does nothing yet;
* a value s travels as the pair (s, -s), whose group mean is zero, and silu(a) - silu(-a) = a undoes the activation;
* a reference signal of known power shares the group and fixes its deviation, so that the norm becomes a constant
  factor. In the encoder the reference is a bias; in the decoder, where each pair fills a group, it is a frame along
  the picture's edge that zero padding makes by itself, carried beside the colours and subtracted at the end.
"""

from __future__ import annotations

import math
from typing import Any

import torch

REFERENCE = 2.5
FRAME = 3
"""The decoder channel that carries the frame; colours are in channels 0 to 2."""
CONSTANT = 100
"""A channel of the first decoder block that is made constant to drive the frame."""


@torch.no_grad()
def start_as_linear_codec(vae: Any) -> None:
    """Overwrite the weights of a VAE with channels (64, 64, 64, 128). What takes no part keeps its random values."""
    for name, weight in vae.named_parameters():
        if name.endswith(("conv2.weight", "conv2.bias")) or "to_out.0" in name:
            weight.zero_()
    colours = _colour_axes()
    _start_encoder(vae.encoder, colours)
    for convolution in (vae.quant_conv, vae.post_quant_conv):
        convolution.weight.copy_(torch.eye(convolution.weight.shape[0])[:, :, None, None])
        convolution.bias.zero_()
    _start_decoder(vae.decoder, torch.linalg.inv(colours), vae.config.sample_size // 8)


def _colour_axes() -> torch.Tensor:
    """Brightness and two colour differences, scaled to about unit power, float32 [3, 3]."""
    axes = torch.tensor([[1.0, 1.0, 1.0], [-1.0, -1.0, 2.0], [2.0, -1.0, -1.0]])
    return axes * torch.tensor([[0.55], [0.9], [0.9]])


def _start_encoder(encoder: Any, colours: torch.Tensor) -> None:
    _pass_through(encoder.conv_in, 3)
    for block in encoder.down_blocks[:3]:
        _average_two_by_two(block.downsamplers[0].conv, 3)
    shortcut = encoder.down_blocks[3].resnets[0].conv_shortcut
    for channel in range(3):
        shortcut.weight[4 * channel : 4 * channel + 4] = 0
        shortcut.bias[4 * channel : 4 * channel + 4] = 0
        shortcut.weight[4 * channel, channel, 0, 0] = 1
        shortcut.weight[4 * channel + 1, channel, 0, 0] = -1
    bias = encoder.mid_block.resnets[-1].conv2.bias
    bias[2::4] += REFERENCE
    bias[3::4] -= REFERENCE
    encoder.conv_norm_out.weight.fill_(math.sqrt(REFERENCE**2 / 2 + 0.2))
    encoder.conv_norm_out.bias.zero_()
    encoder.conv_out.weight[:3] = 0
    encoder.conv_out.bias[:4] = 0
    for axis in range(3):
        for channel in range(3):
            encoder.conv_out.weight[axis, 4 * channel, 1, 1] = colours[axis, channel]
            encoder.conv_out.weight[axis, 4 * channel + 1, 1, 1] = -colours[axis, channel]


def _start_decoder(decoder: Any, colours: torch.Tensor, cells: int) -> None:
    decoder.conv_in.weight[:4] = 0
    decoder.conv_in.bias[:4] = 0
    decoder.conv_in.weight[:3, :3, 1, 1] = colours
    _make_frame(decoder.mid_block.resnets[0], cells)
    for block in decoder.up_blocks[:2]:
        _pass_through(block.upsamplers[0].conv, 4)
    shortcut = decoder.up_blocks[1].resnets[0].conv_shortcut
    if shortcut is not None:
        _pass_through(shortcut, 4)
    spread = decoder.up_blocks[2].upsamplers[0].conv
    spread.weight[:8] = 0
    spread.bias[:8] = 0
    for channel in range(3):
        for place, sign in ((0, 1), (1, -1)):
            spread.weight[2 * channel + place, channel, 1, 1] = sign
            spread.weight[2 * channel + place, FRAME, 1, 1] = sign
    spread.weight[6, FRAME, 1, 1], spread.weight[7, FRAME, 1, 1] = 1, -1
    decoder.conv_norm_out.weight[:6] = math.sqrt(REFERENCE**2 + 0.3)
    decoder.conv_norm_out.weight[6:8] = REFERENCE
    decoder.conv_norm_out.bias[:8] = 0
    decoder.conv_out.weight.mul_(0.1)
    decoder.conv_out.weight[:, :8] = 0
    decoder.conv_out.bias.zero_()
    for channel in range(3):
        for source, sign in ((2 * channel, 1), (2 * channel + 1, -1), (6, -1), (7, 1)):
            decoder.conv_out.weight[channel, source, 1, 1] = sign


def _make_frame(block: Any, cells: int) -> None:
    """Channel FRAME becomes a pattern of zero mean and power REFERENCE squared: high outermost, low inside."""
    block.norm2.weight[CONSTANT] = 0
    block.norm2.bias[CONSTANT] = 2.0
    constant = 2 / (1 + math.exp(-2))
    share = 1 - (cells - 2) ** 2 / cells**2
    inside, outside = -REFERENCE * math.sqrt(share / (1 - share)), REFERENCE * math.sqrt((1 - share) / share)
    tap = -(outside - inside) / (3 * constant)
    block.conv2.weight[FRAME] = 0
    block.conv2.weight[FRAME, CONSTANT] = tap
    block.conv2.bias[FRAME] = inside - 9 * tap * constant


def _pass_through(convolution: Any, channels: int) -> None:
    middle = convolution.weight.shape[-1] // 2
    convolution.weight[:channels] = 0
    convolution.bias[:channels] = 0
    for channel in range(channels):
        convolution.weight[channel, channel, middle, middle] = 1


def _average_two_by_two(convolution: Any, channels: int) -> None:
    convolution.weight[:channels] = 0
    convolution.bias[:channels] = 0
    for channel in range(channels):
        convolution.weight[channel, channel, :2, :2] = 0.25
