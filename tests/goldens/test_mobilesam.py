"""MobileSAM against the recordings of the original, stage by stage.

Tolerances are those that case.json suggests. The network is the one that serves: batch norms
folded into their convolutions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from models.mobilesam import FAITHFUL, MobileSamSegmenter
from models.mobilesam_network import MobileSam
from models.prompts import Click, Prompt
from models.sam_frame import Frame
from models.segmenter import replay
from tests.goldens.cases import Case, cases, parametrize
from tests.goldens.mobilesam_files import FULL_SIDE, GoldenFile, golden_network

Array = npt.NDArray[Any]
Taps = dict[str, Array]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    found = cases(metafunc.config, lambda document: "mobilesam" in document.get("variant", ""))
    if "file" in metafunc.fixturenames:
        parametrize(metafunc, "file", files(found), [file.id for file in files(found)])
    elif "prompt" in metafunc.fixturenames:
        rows = [(file, name) for file in files(found) for name in file.prompts]
        ids = [f"{file.id}/{name}" for file, name in rows]
        parametrize(metafunc, "recording, prompt", rows, ids)
    elif "case" in metafunc.fixturenames:
        wanted = "prepost.npz" if "prepost" in metafunc.function.__name__ else "golden_small.npz"
        parametrize(metafunc, "case", [case for case in found if case.has(wanted)])


@lru_cache
def file_of(case: Case, name: str) -> GoldenFile:
    return GoldenFile(case, name)


def files(found: list[Case]) -> list[GoldenFile]:
    """The recordings of the whole chain."""
    every = [
        file_of(case, path.stem) for case in found for path in sorted(case.folder.glob("*.npz"))
    ]
    return [file for file in every if "enc_embedding" in file.arrays]


@contextmanager
def recorded(modules: dict[str, nn.Module]) -> Iterator[Taps]:
    """What the modules put out while the block runs; of a tuple, all parts."""
    taps: dict[str, Any] = {}

    def tap(name: str) -> Any:
        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            parts = output if isinstance(output, tuple) else (output,)
            arrays = [part[0].numpy() for part in parts]
            taps[name] = arrays if isinstance(output, tuple) else arrays[0]

        return keep

    handles = [module.register_forward_hook(tap(name)) for name, module in modules.items()]
    try:
        yield taps
    finally:
        for handle in handles:
            handle.remove()


def encoder_taps(network: MobileSam) -> dict[str, nn.Module]:
    encoder = network.image_encoder
    taps: dict[str, nn.Module] = {"patch_embed": encoder.patch_embed}
    for index, stage in enumerate(encoder.layers):
        taps[f"layer{index}_block0"] = stage.blocks[0]
        taps[f"layer{index}_blocks"] = stage.blocks
        taps[f"layer{index}"] = stage
    return taps | {"neck1": encoder.neck[1], "embedding": encoder.neck}


@lru_cache(maxsize=16)
def encoded(file: GoldenFile) -> tuple[Tensor, Taps]:
    """The embedding, and the encoder's taps as they were recorded."""
    pixels = torch.from_numpy(file.frame.network_input(file.image))
    with recorded(encoder_taps(file.network)) as taps, torch.inference_mode():
        embedding = file.network.encode(pixels)
    times = embedding.shape[1] // file.arrays["enc_embedding"].shape[0] // 4
    for name, (channels, full_stride) in file.case.document["strides"]["c_s"].items():
        stride = full_stride * file.side // FULL_SIDE
        offset = min(3, stride - 1)
        taps[name] = taps[name][:: channels * times, offset::stride, offset::stride].copy()
    return embedding, taps


def assert_tap(tap: Array, golden: Array, largest: float) -> None:
    np.testing.assert_allclose(tap, golden, rtol=0, atol=2e-5 * largest + 1e-4)


def test_network_input(file: GoldenFile) -> None:
    assert list(file.frame.scaled) == file.arrays["resized_hw"].tolist()
    pixels = file.frame.network_input(file.image)
    golden = file.arrays["input_sub"]
    np.testing.assert_allclose(pixels[0, :, 3::32, 3::32], golden, rtol=0, atol=1e-5)
    sums = [pixels.sum(dtype=np.float64), np.abs(pixels).sum(dtype=np.float64)]
    np.testing.assert_allclose(sums, file.arrays["input_sum"], rtol=1e-6)


def test_encoder(file: GoldenFile) -> None:
    _, taps = encoded(file)
    largest = file.case.document.get("max_abs_of_taps", {}).get(file.name, {})
    for name in file.case.document["strides"]["c_s"]:
        golden = file.arrays[f"enc_{name}"]
        if name == "embedding":
            np.testing.assert_allclose(taps[name], golden, rtol=0, atol=1e-4)
        else:
            assert_tap(taps[name], golden, largest.get(f"enc_{name}", np.abs(golden).max()))


def test_embedding_as_a_whole(file: GoldenFile) -> None:
    embedding, _ = encoded(file)
    values = embedding.numpy().astype(np.float64)
    stats = [values.mean(), values.std(), np.abs(values).sum()]
    np.testing.assert_allclose(stats, file.arrays["embedding_stats"], rtol=1e-4, atol=1e-5)


def test_position_code(file: GoldenFile) -> None:
    code = file.network.prompt_encoder.grid_code()[0, ::8, 3::8, 3::8]
    np.testing.assert_allclose(code, file.arrays["dense_pe_sub"], rtol=0, atol=1e-5)


def test_prompt_encoder(recording: GoldenFile, prompt: str) -> None:
    encoder, asked = recording.network.prompt_encoder, recording.prompt(prompt)
    with torch.inference_mode():
        sparse = encoder.sparse(asked.points, asked.labels, asked.boxes)
        dense = encoder.dense(asked.masks, 1)[0]
    golden = recording.arrays[f"{prompt}_sparse"]
    np.testing.assert_allclose(sparse.reshape(golden.shape), golden, rtol=0, atol=1e-5)
    dense = dense[:, 0, 0] if asked.masks is None else dense[::16, 3::8, 3::8]
    np.testing.assert_allclose(dense, recording.arrays[f"{prompt}_dense_sub"], rtol=0, atol=1e-5)


def test_masks(recording: GoldenFile, prompt: str) -> None:
    embedding, _ = encoded(recording)
    with torch.inference_mode():
        decoded = recording.network.decode(embedding, recording.prompt(prompt))
    golden, atol = recording.arrays, 2e-3 if recording.real_weights else 2e-4
    scores = golden[f"{prompt}_iou4"].reshape(-1, 4)
    np.testing.assert_allclose(decoded.scores, scores, rtol=0, atol=1e-4)
    low = decoded.logits.numpy()
    expected = golden[f"{prompt}_low4"]
    np.testing.assert_allclose(
        low[..., 3::8, 3::8], expected.reshape(-1, *expected.shape[-3:]), rtol=0, atol=atol
    )
    values = np.stack([recording.frame.logits(one) for one in low.reshape(-1, *low.shape[-2:])])
    expected = golden[f"{prompt}_logits4_sub"]
    np.testing.assert_allclose(
        values[:, 3::16, 3::16], expected.reshape(-1, *expected.shape[-2:]), rtol=0, atol=atol
    )
    packed = golden[f"{prompt}_masks4"]
    for mask, bits in zip(values > 0, packed.reshape(-1, packed.shape[-1]), strict=True):
        assert_same_mask(mask, bits)


def assert_same_mask(mask: Array, bits: Array) -> None:
    golden = np.unpackbits(bits, count=mask.size).astype(bool).reshape(mask.shape)
    assert np.count_nonzero(mask != golden) <= max(3, 0.0002 * mask.size)


def test_decoder_inside(file: GoldenFile) -> None:
    decoder, golden = file.network.mask_decoder, file.arrays
    modules: dict[str, nn.Module] = {
        "transformer": decoder.transformer,
        "upscaled": decoder.output_upscaling,
    }
    modules |= {f"hyper{i}": mlp for i, mlp in enumerate(decoder.output_hypernetworks_mlps)}
    embedding, _ = encoded(file)
    with recorded(modules) as taps, torch.inference_mode():
        file.network.decode(embedding, file.prompt("p1"))
    tokens, keys = taps["transformer"]
    np.testing.assert_allclose(tokens, golden["p1_tok_out"], rtol=0, atol=1e-4)
    grid = file.side // 16
    keys = keys.T.reshape(-1, grid, grid)[::16, 3::8, 3::8]
    assert_tap(keys, golden["p1_src_out_sub"], np.abs(golden["p1_src_out_sub"]).max())
    upscaled = taps["upscaled"][::4, 3::16, 3::16]
    assert_tap(upscaled, golden["p1_up_sub"], np.abs(golden["p1_up_sub"]).max())
    hyper = np.stack([taps[f"hyper{i}"] for i in range(4)])
    np.testing.assert_allclose(hyper, golden["p1_hyper"], rtol=0, atol=5e-3)


WAYS = {
    "seq_first": FAITHFUL,
    "seq_always": replace(FAITHFUL, later_masks=FAITHFUL.first_masks),
}


@pytest.mark.parametrize("way", WAYS)
def test_clicking_the_authors_way(file: GoldenFile, way: str) -> None:
    golden = file.arrays
    if f"{way}_low" not in golden:
        pytest.skip(f"{file.id} has no {way}")
    options = replace(WAYS[way], input_side=file.side)
    segmenter = MobileSamSegmenter(file.network, "mobilesam@golden:0", options=options)
    clicks = tuple(
        Click(x, y, bool(label))
        for (x, y), label in zip(golden["in_seq_coords"], golden["in_seq_labels"], strict=True)
    )
    steps = replay(segmenter, segmenter.prepare(file.image), Prompt(clicks))
    for index, step in enumerate(steps):
        assert step.state is not None
        low = step.state.arrays["logits"]
        np.testing.assert_allclose(low[3::8, 3::8], golden[f"{way}_low"][index], rtol=0, atol=2e-3)
        score = np.nanmax(golden[f"{way}_iou"][index])
        assert step.score == pytest.approx(min(score, 1), abs=1e-4)
        assert_same_mask(step.mask, golden[f"{way}_masks"][index])
        probability = 1 / (1 + np.exp(-file.frame.logits(low)))
        kept = step.probability != 0
        np.testing.assert_allclose(step.probability[kept], probability[kept], rtol=0, atol=1e-5)


def test_golden_small_encoders(case: Case) -> None:
    arrays = case.arrays("golden_small.npz")
    largest = case.document.get("max_abs_of_taps", {}).get("golden_small", {})
    sides = sorted({int(found[1]) for name in arrays if (found := re.match(r"s(\d+)_", name))})
    assert sides
    for side in sides:
        network = golden_network(case, side)
        draws = np.random.Generator(np.random.PCG64(500 + side)).random((1, 3, side, side))
        with recorded(encoder_taps(network)) as taps, torch.inference_mode():
            network.encode(torch.from_numpy(draws.astype(np.float32) * 4 - 2))
        for name, golden in arrays.items():
            if not name.startswith(f"s{side}_"):
                continue
            tap = taps[name.partition("_")[2]]
            if name.endswith("_embedding"):
                np.testing.assert_allclose(tap[::8, ::2, ::2], golden, rtol=0, atol=1e-4)
                continue
            channels, rows = (max(1, length // 8) for length in tap.shape[:2])
            tap = tap[::channels, 1::rows, 1::rows]
            assert_tap(tap, golden, largest.get(name, np.abs(golden).max()))


def test_prepost_sizes(case: Case) -> None:
    arrays = case.arrays("prepost.npz")
    for before, after in zip(arrays["sizes_in"], arrays["sizes_out"], strict=True):
        height, width = before.tolist()
        assert list(Frame.of((height, width), FULL_SIDE).scaled) == after.tolist()


def test_prepost_resizing(case: Case) -> None:
    arrays = case.arrays("prepost.npz")
    names = [name[: -len("_small")] for name in arrays if name.endswith("_small")]
    assert names
    for name in names:
        factor = int(arrays[f"{name}_kron"])
        block = np.ones((factor, factor, 1), np.uint8)
        picture = np.kron(arrays[f"{name}_small"], block)
        before, after = arrays[f"{name}_hw"].tolist()
        frame = Frame.of((before[0], before[1]), FULL_SIDE)
        assert list(frame.scaled) == after
        resized = frame.resize(picture)
        assert hashlib.sha256(resized.tobytes()).hexdigest() == str(arrays[f"{name}_sha256"])
        np.testing.assert_array_equal(resized[::32, ::32], arrays[f"{name}_sub"])
        pixels = frame.network_input(picture)[0, :, 3::32, 3::32]
        np.testing.assert_allclose(pixels, arrays[f"{name}_norm_sub"], rtol=0, atol=1e-5)
        given, mapped = arrays[f"{name}_points"]
        np.testing.assert_allclose(frame.points(given), mapped, rtol=1e-6, atol=1e-5)


def test_prepost_masks(case: Case) -> None:
    arrays = case.arrays("prepost.npz")
    low = arrays["post_mask_q"].astype(np.float32) / 2
    indices = [int(found[1]) for name in arrays if (found := re.match(r"post(\d+)_sizes", name))]
    assert indices
    for index in indices:
        scaled, size = arrays[f"post{index}_sizes"].tolist()
        frame = Frame((size[0], size[1]), FULL_SIDE, (scaled[0], scaled[1]))
        values = frame.logits(low)
        stride = int(arrays[f"post{index}_stride"])
        golden = arrays[f"post{index}_sub"]
        np.testing.assert_allclose(values[::stride, ::stride], golden, rtol=0, atol=2e-3)
        assert_same_mask(values > 0, arrays[f"post{index}_mask"])
