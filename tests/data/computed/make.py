# Modules with weight norm as torch saves them, and the weights that torch.nn.utils.remove_weight_norm makes of them; norms of
# four ranks, and their mean as a sum that is divided. Written with torch 2.14.1 and safetensors 0.8.0 on x86-64:
#   python3 make.py
import os
import warnings

import safetensors.torch
import torch

warnings.filterwarnings("ignore")
HERE = os.path.dirname(os.path.abspath(__file__))
random = torch.Generator().manual_seed(16)
source, expected = {}, {}


def module(name, made, dim, dtype=torch.float32):
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random))
    normed = torch.nn.utils.weight_norm(made, dim=dim)
    with torch.no_grad():
        normed.weight_g.mul_(torch.rand(normed.weight_g.shape, generator=random) * 2 + 0.1)
    normed = normed.to(dtype)
    source[name + ".weight_g"] = normed.weight_g.detach().clone()
    source[name + ".weight_v"] = normed.weight_v.detach().clone()
    source[name + ".bias"] = expected[name + ".bias"] = normed.bias.detach().clone()
    torch.nn.utils.remove_weight_norm(normed)
    expected[name + ".weight"] = normed.weight.detach().clone()


module("conv_pre", torch.nn.Conv1d(20, 16, 7), 0)
module("ups.0", torch.nn.ConvTranspose1d(16, 8, 8), 0)
module("ups.1", torch.nn.ConvTranspose1d(8, 4, 4), 0)
module("pos_conv", torch.nn.Conv1d(12, 6, 16), 2)
module("middle", torch.nn.Conv2d(6, 5, 3), 1)
module("proj", torch.nn.Linear(300, 9), 0)
module("whole", torch.nn.Linear(10, 7), None)
ranks = [torch.randn(8, generator=random) for _ in range(4)]
total = ranks[0].clone()
for i, rank in enumerate(ranks):
    source[f"ranks.{i}.norm"] = rank
    if i > 0:
        total += rank
expected["norm"] = total / 4
safetensors.torch.save_file(source, os.path.join(HERE, "source.safetensors"))
safetensors.torch.save_file(expected, os.path.join(HERE, "expected.safetensors"))
