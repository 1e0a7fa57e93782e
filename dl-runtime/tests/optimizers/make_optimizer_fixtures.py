"""Makes the fixtures of tests/optimizers.rs: trajectories of optimizers and curves of schedules, in double precision.

Needs torch and optax. Writes `noise.csv` (what is added to the gradients, one row for each step), `trajectories.csv` and
`schedules.csv` beside itself. The function is ½ Σ curvature·(p − target)²; its gradient gets the noise of the step.
"""

import csv
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

jax.config.update("jax_enable_x64", True)
HERE = Path(__file__).parent
STEPS = 100
SHOWN = [1, 2, 3, 4, 5, 10, 20, 40, 60, 80, 99, 100]
START = np.array([1.0, -2.0, 0.5, 3.0, -0.25])
TARGET = np.array([0.5, 0.25, -1.0, 0.0, 0.75])
CURVATURE = np.array([1.0, 4.0, 0.25, 2.0, 0.5])
SPLIT = 3  # the first tensor holds three numbers, the second two
# Rounded so that the text says them exactly.
NOISE = np.round(np.random.default_rng(17).normal(0.0, 0.3, (STEPS, 5)) * 1024) / 1024


def gradient(p, step):
    return CURVATURE * (p - TARGET) + NOISE[step]


def with_torch(make, before=lambda tensors: None, accumulate=1, ema=None):
    tensors = [torch.tensor(part.copy(), requires_grad=True) for part in np.split(START, [SPLIT])]
    optimizer = make(tensors)
    average = None
    if ema is not None:
        module = torch.nn.ParameterList(tensors)
        average = torch.optim.swa_utils.AveragedModel(module, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(ema))
    for step in range(STEPS):
        p = np.concatenate([tensor.detach().numpy() for tensor in tensors])
        for tensor, g in zip(tensors, np.split(gradient(p, step), [SPLIT])):
            g = torch.tensor(g / accumulate)
            tensor.grad = g if tensor.grad is None else tensor.grad + g
        if (step + 1) % accumulate == 0:
            before(tensors)
            optimizer.step()
            optimizer.zero_grad()
            if average is not None:
                average.update_parameters(module)
        shown = tensors if average is None else list(average.module)
        yield np.concatenate([tensor.detach().numpy() for tensor in shown])


def with_optax(optimizer):
    p = jnp.array(START)
    state = optimizer.init(p)
    for step in range(STEPS):
        updates, state = optimizer.update(jnp.array(gradient(np.array(p), step)), state, p)
        p = optax.apply_updates(p, updates)
        yield np.array(p)


def ftrl(rate, beta, l1, l2):
    """McMahan et al., 2013, algorithm 1."""
    w, z, n = START.copy(), np.zeros(5), np.zeros(5)
    for step in range(STEPS):
        g = gradient(w, step)
        sigma = (np.sqrt(n + g * g) - np.sqrt(n)) / rate
        z += g - sigma * w
        n += g * g
        w = np.where(np.abs(z) <= l1, 0.0, -(z - np.sign(z) * l1) / ((beta + np.sqrt(n)) / rate + l2))
        yield w.copy()


def proximal(rate, l1, l2, accumulator=None):
    """Duchi and Singer, 2009; with an accumulator Duchi, Hazan and Singer, 2011, section 5.1."""
    w, s = START.copy(), np.full(5, accumulator or 0.0)
    for step in range(STEPS):
        g = gradient(w, step)
        s += g * g
        r = rate if accumulator is None else rate / np.sqrt(s)
        u = w - r * g
        w = np.sign(u) * np.maximum(np.abs(u) - r * l1, 0.0) / (1.0 + r * l2)
        yield w.copy()


def two_groups(tensors):
    return torch.optim.AdamW([{"params": tensors[:1]}, {"params": tensors[1:], "weight_decay": 0.0}], lr=0.05, weight_decay=0.2)


def by_norm(tensors):
    for tensor in tensors:
        torch.nn.utils.clip_grad_norm_([tensor], 0.5)


o = torch.optim
momentum = lambda p: o.SGD(p, lr=0.05, momentum=0.9)
adam = lambda p: o.Adam(p, lr=0.05)
TRAJECTORIES = {
    "sgd": with_torch(lambda p: o.SGD(p, lr=0.05)),
    "sgd_momentum": with_torch(lambda p: o.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01)),
    "sgd_nesterov": with_torch(lambda p: o.SGD(p, lr=0.05, momentum=0.9, nesterov=True)),
    "adagrad": with_torch(lambda p: o.Adagrad(p, lr=0.3)),
    "adagrad_accumulator": with_torch(lambda p: o.Adagrad(p, lr=0.3, initial_accumulator_value=0.1, weight_decay=0.01)),
    "rmsprop": with_torch(lambda p: o.RMSprop(p, lr=0.02)),
    "rmsprop_momentum": with_torch(lambda p: o.RMSprop(p, lr=0.005, alpha=0.9, momentum=0.9, weight_decay=0.01)),
    "rmsprop_centered": with_torch(lambda p: o.RMSprop(p, lr=0.005, momentum=0.5, centered=True)),
    "adadelta": with_torch(lambda p: o.Adadelta(p, lr=1.0)),
    "adadelta_decay": with_torch(lambda p: o.Adadelta(p, lr=5.0, rho=0.8, eps=1e-4, weight_decay=0.01)),
    "adam": with_torch(adam),
    "adam_decay": with_torch(lambda p: o.Adam(p, lr=0.05, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1)),
    "adamw": with_torch(lambda p: o.AdamW(p, lr=0.05, weight_decay=0.2)),
    "nadam": with_torch(lambda p: o.NAdam(p, lr=0.05)),
    "nadam_decay": with_torch(lambda p: o.NAdam(p, lr=0.05, betas=(0.8, 0.95), weight_decay=0.1)),
    "amsgrad": with_torch(lambda p: o.Adam(p, lr=0.05, betas=(0.9, 0.9), amsgrad=True)),
    "amsgrad_decay": with_torch(lambda p: o.Adam(p, lr=0.05, betas=(0.9, 0.9), amsgrad=True, weight_decay=0.1)),
    "lion": with_optax(optax.lion(0.02, b1=0.9, b2=0.99, weight_decay=0.0)),
    "lion_decay": with_optax(optax.lion(0.02, b1=0.8, b2=0.95, weight_decay=0.1)),
    "ftrl": ftrl(0.3, 1.0, 0.0, 0.0),
    "ftrl_penalties": ftrl(0.3, 1.0, 2.0, 0.5),
    "proximal_gradient": proximal(0.05, 0.6, 0.2),
    "proximal_adagrad": proximal(0.2, 0.6, 0.2, 0.1),
    "clip_value": with_torch(momentum, lambda tensors: torch.nn.utils.clip_grad_value_(tensors, 0.4)),
    "clip_norm": with_torch(momentum, by_norm),
    "clip_global_norm": with_torch(momentum, lambda tensors: torch.nn.utils.clip_grad_norm_(tensors, 0.5)),
    "accumulate": with_torch(adam, accumulate=4),
    "accumulate_clip": with_torch(momentum, lambda tensors: torch.nn.utils.clip_grad_norm_(tensors, 0.5), accumulate=4),
    "ema": with_torch(momentum, ema=0.9),
    "accumulate_ema": with_torch(adam, accumulate=4, ema=0.5),
    "decay_groups": with_torch(two_groups),
}


def rates(make, steps=STEPS):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedule = make(optimizer)
    for _ in range(steps):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        schedule.step()


s = torch.optim.lr_scheduler


def warm_up(optimizer):
    first = s.LinearLR(optimizer, start_factor=0.1, total_iters=20)
    return s.SequentialLR(optimizer, [first, s.CosineAnnealingLR(optimizer, 80)], [20])


# Losses with plateaus, the same for the test.
LOSSES = [round(max(1.0 - 0.1 * (step // 9), 0.3 - 0.001 * step) + 0.01 * ((step * 7) % 5), 6) for step in range(STEPS)]


def plateau(optimizer):
    schedule = s.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=2, threshold=0.02, threshold_mode="abs", cooldown=3, min_lr=0.01, eps=0.0
    )
    losses = iter(LOSSES)
    step = schedule.step
    schedule.step = lambda: step(next(losses))
    return schedule


SCHEDULES = {
    "step": rates(lambda o: s.StepLR(o, 7, 0.5)),
    "piecewise": rates(lambda o: s.MultiStepLR(o, [10, 25, 70], 0.2)),
    "exponential": rates(lambda o: s.ExponentialLR(o, 0.97)),
    "polynomial": rates(lambda o: s.PolynomialLR(o, total_iters=60, power=2.0)),
    "cosine": rates(lambda o: s.CosineAnnealingLR(o, STEPS, eta_min=0.05)),
    "cosine_restarts": rates(lambda o: s.CosineAnnealingWarmRestarts(o, 10, T_mult=2, eta_min=0.05)),
    "cosine_restarts_even": rates(lambda o: s.CosineAnnealingWarmRestarts(o, 15, eta_min=0.0)),
    "one_cycle": rates(lambda o: s.OneCycleLR(o, max_lr=1.0, total_steps=STEPS + 1, cycle_momentum=False)),
    "warm_up": rates(warm_up),
    "plateau": rates(plateau),
}


def write(name, rows):
    with open(HERE / name, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


write("noise.csv", NOISE.tolist())
trajectories = ((name, list(steps)) for name, steps in TRAJECTORIES.items())
write("trajectories.csv", [[name, step, *(f"{x:.9g}" for x in steps[step - 1])] for name, steps in trajectories for step in SHOWN])
write("schedules.csv", [[name, step, f"{rate:.12g}"] for name, steps in SCHEDULES.items() for step, rate in enumerate(steps) if step < 30 or step % 7 == 0])
