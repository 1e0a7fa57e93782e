"""Trains five networks in PyTorch for 50 steps and stores what `tests/curves.rs` compares with.

    python curves.py

Each `.npz` file beside this script holds the images and digits, the initial parameters under the names and in the
layout of the network in `tests/curves.rs`, and the loss of each step, computed in double and in single precision.
The images are the first 320 of `examples/digits`; step s sees the 32 of them from 32 s (modulo 320) on.

Made with Python 3.11, PyTorch 2.15.0, NumPy 2.4.6.
"""

import gzip
from pathlib import Path

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).parent
STEPS, BATCH, COUNT = 50, 32, 320


class Perceptron(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 10)
        )

    def forward(self, image):
        return self.layers(image)

    def parameters_by_name(self):
        for number, at in enumerate([1, 3, 5], 1):
            yield f"logits.dense_{number}.weight", self.layers[at].weight.T
            yield f"logits.dense_{number}.bias", self.layers[at].bias


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        self.second = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16))
        self.last = nn.Linear(16 * 2 * 2, 10)

    def forward(self, image):
        pool = nn.MaxPool2d(2)
        x = pool(torch.relu(self.first(image)))
        x = pool(torch.relu(self.second(x)))
        return self.last(x.flatten(1))

    def parameters_by_name(self):
        yield "features.conv2d_1.weight", self.first[0].weight
        yield "features.batch_norm_1.gamma", self.first[1].weight
        yield "features.batch_norm_1.beta", self.first[1].bias
        yield "features.conv2d_2.weight", self.second[0].weight
        yield "features.conv2d_2.bias", self.second[0].bias
        yield "features.batch_norm_2.gamma", self.second[1].weight
        yield "features.batch_norm_2.beta", self.second[1].bias
        yield "logits.weight", self.last.weight.T
        yield "logits.bias", self.last.bias


class Recurrent(nn.Module):
    """Reads an image row by row. The second bias of PyTorch's layer is redundant: it stays 0."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 24, batch_first=True)
        nn.init.zeros_(self.lstm.bias_hh_l0).requires_grad_(False)
        self.last = nn.Linear(24, 10)

    def forward(self, image):
        states, _ = self.lstm(image[:, 0])
        return self.last(states[:, -1])

    def parameters_by_name(self):
        yield "states.w", self.lstm.weight_ih_l0.T
        yield "states.u", self.lstm.weight_hh_l0.T
        yield "states.b", self.lstm.bias_ih_l0
        yield "logits.weight", self.last.weight.T
        yield "logits.bias", self.last.bias


class Attentive(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(8, 16)
        self.block = nn.TransformerEncoderLayer(
            16, 4, dim_feedforward=32, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.norm = nn.LayerNorm(16)
        self.last = nn.Linear(16, 10)

    def forward(self, image):
        return self.last(self.norm(self.block(self.first(image[:, 0]))).mean(1))

    def parameters_by_name(self):
        def linear(path, weight, bias):
            yield f"{path}.weight", weight.T
            yield f"{path}.bias", bias

        def norm(path, layer):
            yield f"{path}.gamma", layer.weight
            yield f"{path}.beta", layer.bias

        attention = self.block.self_attn
        yield from linear("rows", self.first.weight, self.first.bias)
        yield from norm("seen.block.attended.norm", self.block.norm1)
        for name, part in [("query", 0), ("key", 1), ("value", 2)]:
            rows = slice(16 * part, 16 * part + 16)
            weight, bias = attention.in_proj_weight[rows], attention.in_proj_bias[rows]
            yield from linear(f"seen.block.attended.attention.{name}", weight, bias)
        mix = attention.out_proj
        yield from linear("seen.block.attended.attention.mix", mix.weight, mix.bias)
        yield from norm("seen.block.wide.norm", self.block.norm2)
        yield from linear("seen.block.wide.dense", self.block.linear1.weight, self.block.linear1.bias)
        yield from linear("seen.block.narrow", self.block.linear2.weight, self.block.linear2.bias)
        yield from norm("seen.norm", self.norm)
        yield from linear("logits", self.last.weight, self.last.bias)


class Volumetric(nn.Module):
    """Sees an image of 8 rows of 8 as a volume of 4 planes of 4 rows of 4."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv3d(1, 6, 3, padding=1)
        self.second = nn.Conv3d(6, 12, (3, 2, 2), stride=(2, 1, 1), padding=1, dilation=(1, 1, 2), groups=2)
        self.last = nn.Linear(12 * 2 * 2 * 1, 10)

    def forward(self, image):
        x = torch.relu(self.first(image.reshape(-1, 1, 4, 4, 4)))
        x = nn.functional.max_pool3d(x, (3, 2, 2), stride=1, padding=(1, 0, 0))
        x = torch.relu(self.second(x))
        x = nn.functional.avg_pool3d(x, (1, 2, 3))
        return self.last(x.flatten(1))

    def parameters_by_name(self):
        yield "features.conv3d_1.weight", self.first.weight
        yield "features.conv3d_1.bias", self.first.bias
        yield "features.conv3d_2.weight", self.second.weight
        yield "features.conv3d_2.bias", self.second.bias
        yield "logits.weight", self.last.weight.T
        yield "logits.bias", self.last.bias


def digits():
    records = gzip.open(HERE / "../../../../examples/digits/digits.bin.gz").read()
    records = np.frombuffer(records, np.uint8).reshape(-1, 65)[:COUNT]
    return records[:, :64].reshape(-1, 1, 8, 8), records[:, 64]


def losses(network, parameters, dtype, images, digits, optimizer, limit, schedule):
    """The loss of each step, and how long the gradients were before they were clipped."""
    network = network().to(dtype)
    network.load_state_dict(parameters)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = optimizer(trained)
    schedule = schedule(optimizer) if schedule else None
    images = torch.tensor(images, dtype=dtype) / 16
    digits = torch.tensor(digits, dtype=torch.long)
    curve, norms = [], []
    for step in range(STEPS):
        at = step * BATCH % COUNT
        loss = nn.functional.cross_entropy(network(images[at : at + BATCH]), digits[at : at + BATCH])
        optimizer.zero_grad()
        loss.backward()
        norms.append(nn.utils.clip_grad_norm_(trained, limit or float("inf")).item())
        optimizer.step()
        if schedule:
            schedule.step()
        curve.append(loss.item())
    return curve, norms


def make(name, network, optimizer, limit=None, schedule=None):
    torch.manual_seed(1)
    initial = network()
    arrays = {path: tensor.detach().numpy() for path, tensor in initial.parameters_by_name()}
    images, labels = digits()
    settings = images, labels, optimizer, limit, schedule
    double, norms = losses(network, initial.state_dict(), torch.float64, *settings)
    single, _ = losses(network, initial.state_dict(), torch.float32, *settings)
    np.savez_compressed(
        HERE / f"{name}.npz",
        image=images,
        digit=labels,
        double=np.array(double),
        single=np.array(single, np.float32),
        **{path: np.ascontiguousarray(array) for path, array in arrays.items()},
    )
    apart = max(abs(a - b) / a for a, b in zip(double, single))
    print(f"{name}: loss from {double[0]:.4f} to {double[-1]:.4f}, single precision {apart:.1e} apart")
    if limit:
        print(f"  gradients clipped in {sum(norm > limit for norm in norms)} of {STEPS} steps")


if __name__ == "__main__":
    torch.set_num_threads(1)
    make("perceptron", Perceptron, lambda p: torch.optim.Adam(p, lr=0.005))
    make("convolutional", Convolutional, lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.001))
    make("recurrent", Recurrent, lambda p: torch.optim.SGD(p, lr=0.5, momentum=0.9), limit=0.5)
    make(
        "attentive",
        Attentive,
        lambda p: torch.optim.AdamW(p, lr=0.02, weight_decay=0.1),
        schedule=lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS),
    )
    make("volumetric", Volumetric, lambda p: torch.optim.Adam(p, lr=0.01))
