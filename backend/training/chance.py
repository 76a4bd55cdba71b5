"""Chance that does not depend on the past: what a batch draws is a function of its number."""

from __future__ import annotations

import random

import numpy as np
import torch


def seed_all(*words: int) -> None:
    """Seed the global generators of torch (on every device), NumPy and random.

    Fresh weights draw from (seed,), batches from (seed, number, rank). So the state of no
    generator has to be kept for a training to go on exactly.
    """
    drawn = np.random.SeedSequence(words).generate_state(4)
    torch.manual_seed(int(drawn[0]) << 32 | int(drawn[1]))
    np.random.seed(int(drawn[2]))
    random.seed(int(drawn[3]))
