"""Names of the same networks in Hugging Face's transformers."""

from __future__ import annotations

import re

import torch

from thaw.trainables.networks.weight_files import State

START = r"^((?:[^.]+\.)*?)"
"""What precedes the names, such as ``vit.``; it is kept."""

BLOCK = r"(?:encoder\.)?layer\.(\d+)\."
STAGE = r"encoder\.stages\.(\d+)\.layers\.(\d+)\."

NAMES: tuple[tuple[str, str], ...] = (
    # ViT, DeiT and DINOv2
    (r"embeddings\.cls_token$", r"cls_token"),
    (r"embeddings\.mask_token$", r"mask_token"),
    (r"embeddings\.register_tokens$", r"register_tokens"),
    (r"embeddings\.position_embeddings$", r"pos_embed"),
    (r"embeddings\.patch_embeddings\.projection\.", r"patch_embed.proj."),
    (BLOCK + r"attention\.attention\.(query|key|value)\.", r"blocks.\2.attn.\3."),
    (BLOCK + r"attention\.output\.dense\.", r"blocks.\2.attn.proj."),
    (BLOCK + r"intermediate\.dense\.", r"blocks.\2.mlp.fc1."),
    (BLOCK + r"output\.dense\.", r"blocks.\2.mlp.fc2."),
    (BLOCK + r"layernorm_before\.", r"blocks.\2.norm1."),
    (BLOCK + r"layernorm_after\.", r"blocks.\2.norm2."),
    (BLOCK + r"layer_scale(\d)\.lambda1$", r"blocks.\2.ls\3.gamma"),
    (BLOCK + r"(norm\d|mlp\.\w+)\.", r"blocks.\2.\3."),
    (r"layernorm\.(weight|bias)$", r"norm.\2"),
    # ResNet
    (r"embedder\.embedder\.convolution\.", r"conv1."),
    (r"embedder\.embedder\.normalization\.", r"bn1."),
    (STAGE + r"shortcut\.convolution\.", r"layer\2+1.\3.downsample.0."),
    (STAGE + r"shortcut\.normalization\.", r"layer\2+1.\3.downsample.1."),
    (STAGE + r"layer\.(\d)\.convolution\.", r"layer\2+1.\3.conv\4+1."),
    (STAGE + r"layer\.(\d)\.normalization\.", r"layer\2+1.\3.bn\4+1."),
)
"""Regular expression → name in timm, in which ``2+1`` stands for 3, as transformers counts from 0."""

PARTS = ("query", "key", "value")


def renamed(state: State) -> State:
    """The same tensors under timm's names, and query, key and value in one; empty if no name is known."""
    names = {name: _renamed(name) for name in state}
    if all(old == new for old, new in names.items()):
        return {}
    found = {names[name]: tensor for name, tensor in state.items()}
    for name in [name for name in found if ".attn.query." in name]:
        parts = [name.replace(".query.", f".{part}.") for part in PARTS]
        if all(part in found for part in parts):
            found[name.replace(".query.", ".qkv.")] = torch.cat([found.pop(part) for part in parts])
    return found


def _renamed(name: str) -> str:
    for pattern, replacement in NAMES:
        new, count = re.subn(START + pattern, r"\1" + replacement, name)
        if count:
            return re.sub(r"(\d)\+1", lambda found: str(int(found[1]) + 1), new)
    return name
