"""Weights that restore faces. Fetched only by name; RestoreFormer's file is put in place by the user."""
from __future__ import annotations

from personal_avatar.weights.nouns import Weight

GFPGAN = Weight(
    name="gfpgan",
    file_name="face-restoration/GFPGANv1.4.pth",
    sha256="e2cd4703ab14f4d01fd1383a8a8b266f9a5833dacee8e6a79d3bf21a1b6be5ad",
    size_bytes=348_632_874,
    licence="Apache-2.0",
    licence_url="https://github.com/TencentARC/GFPGAN/blob/master/LICENSE",
    source="GFPGAN 1.4 (Xintao Wang and others, Tencent ARC)",
    purpose="restores faces",
    url="https://github.com/TencentARC/GFPGAN/releases/download/v1.3.0/GFPGANv1.4.pth",
)
CODEFORMER = Weight(
    name="codeformer",
    file_name="face-restoration/codeformer-v0.1.0.pth",
    sha256="1009e537e0c2a07d4cabce6355f53cb66767cd4b4297ec7a4a64ca4b8a5684b7",
    size_bytes=376_637_898,
    licence="S-Lab License 1.0, non-commercial use only",
    licence_url="https://github.com/sczhou/CodeFormer/blob/master/LICENSE",
    source="CodeFormer (Shangchen Zhou and others, S-Lab)",
    purpose="restores faces, more or less faithfully",
    url="https://github.com/sczhou/CodeFormer/releases/download/v0.1.0/codeformer.pth",
)
RESTORATION: tuple[Weight, ...] = (GFPGAN, CODEFORMER)
