"""Tiny random networks on the GPU path, run on the CPU in float32 over the same buffers of fixed sizes."""

from __future__ import annotations

from typing import Any

import torch

from generation.decoding.gpu.network import TorchNetwork
from generation.decoding.gpu.slots import SlotPool
from generation.decoding.gpu.weights import Weights, read_weights
from generation.decoding.llama.model import LlamaModel
from generation.decoding.llama.shape import read_shape
from tests.decoding.llama.networks import NoTokenizer, network_of

CPU = torch.device("cpu")
READ_TOKENS = 96


def weights_of(network: Any, device: torch.device = CPU) -> Weights:
    shape = read_shape(network.config.to_dict())
    assert shape is not None
    return read_weights(network, shape, torch.float32, device)


def torch_network(network: Any, pages: int = 24, device: torch.device = CPU) -> TorchNetwork:
    weights = weights_of(network, device)
    pool = SlotPool(weights.shape, pages, torch.float32, device)
    return TorchNetwork(weights, pool, record=device.type == "cuda", read_tokens=READ_TOKENS, least_slots=0)


def torch_model(family: str, pages: int = 24, prefix_bytes: int = 1 << 20) -> LlamaModel:
    return LlamaModel(torch_network(network_of(family), pages), NoTokenizer(), family, prefix_bytes)
