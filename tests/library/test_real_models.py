"""Common networks, against plain automatic differentiation of one sample at a time."""

import warnings

import pytest
import torch
from loop import by_loop, each, exact_by_loop
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from reference import assert_close
from weight_importance import estimate
from weight_importance.data.sources.mirrors import import_torchvision
from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.probe import SlowWarning, examine
from weight_importance.estimators.engine.samples import batch

vision = import_torchvision("models")


def shaken(network):
    """Set running statistics, scales and shifts that affect the output."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return network


VISION = {
    "resnet18": lambda: vision.resnet18(num_classes=5),
    "mobilenet_v2": lambda: vision.mobilenet_v2(num_classes=5, width_mult=0.35),
    "vit": lambda: vision.VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=5
    ),
}


@pytest.mark.parametrize("name", VISION)
def test_vision(name):
    torch.manual_seed(0)
    network = shaken(VISION[name]()).double()
    if name == "vit":
        nn.init.normal_(network.heads.head.weight)  # zero at the start
    images, labels = torch.randn(4, 3, 32, 32).double(), torch.randint(5, (4,))
    with warnings.catch_warnings():
        warnings.simplefilter("error", SlowWarning)
        expected = by_loop("fisher_empirical", network, each(images), labels)
        assert_close(estimate("fisher_empirical", network, images, labels), expected, 1e-8)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_convolutional_networks_have_closed_forms_throughout(name):
    network = shaken(VISION[name]()).eval()
    plan = examine(Forward(network), batch(torch.randn(3, 3, 32, 32)))
    assert not plan.vectorised and not plan.looped


class Block(nn.Module):
    def __init__(self, width: int, heads: int, key_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.value, self.out = (nn.Linear(width, width) for _ in range(3))
        # the softmax over keys cancels a bias: its gradients are rounding errors
        self.key = nn.Linear(width, width, bias=key_bias)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x, mask):
        h = self.first(x)
        split = (each(h).unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in (self.query, self.key, self.value))
        attended = scaled_dot_product_attention(*split, attn_mask=mask).transpose(1, 2).flatten(2)
        x = x + self.dropout(self.out(attended))
        return x + self.dropout(self.down(nn.functional.gelu(self.up(self.second(x)))))


class Output(dict):
    """An output like that of language-model libraries: attributes and keys."""

    __getattr__ = dict.get


class Tokens(nn.Module):
    """A causal language model on padded sequences, called with keywords."""

    def __init__(self, tied: bool, key_bias: bool = False) -> None:
        super().__init__()
        vocabulary, width = 11, 8
        self.tokens = nn.Embedding(vocabulary, width, padding_idx=0)
        self.places = nn.Embedding(16, width)
        self.blocks = nn.ModuleList([Block(width, 2, key_bias) for _ in range(2)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        if tied:
            self.head.weight = self.tokens.weight

    def forward(self, input_ids, attention_mask=None, labels=None):
        length = input_ids.shape[1]
        x = self.tokens(input_ids) + self.places(torch.arange(length, device=input_ids.device))
        mask = torch.ones(length, length, dtype=torch.bool, device=input_ids.device).tril()[None, None]
        if attention_mask is not None:
            mask = mask & attention_mask[:, None, None].bool()
        for block in self.blocks:
            x = block(x, mask)
        return Output(logits=self.head(self.norm(x)))


def sentences(count: int = 5, length: int = 6):
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(1, 11, (count, length), generator=generator)
    lengths = torch.randint(2, length + 1, (count,), generator=generator)
    mask = (torch.arange(length) < lengths[:, None]).long()
    ids = ids * mask
    labels = torch.where(mask.bool(), ids.roll(-1, 1), -100)
    labels[:, -1] = -100
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def one_by_one(given):
    return [
        lambda network, i=i: network(given["input_ids"][i : i + 1], given["attention_mask"][i : i + 1])["logits"]
        for i in range(len(given["labels"]))
    ]


@pytest.mark.parametrize("tied", [False, True])
def test_a_language_model(tied):
    torch.manual_seed(0)
    network, given = Tokens(tied).double(), sentences()
    labels = given["labels"].clamp(min=0)
    counted = given["labels"] != -100
    expected = by_loop("fisher_empirical", network, one_by_one(given), labels, counted)
    assert_close(estimate("fisher_empirical", network, given, ignore_index=-100), expected, 1e-9)
    # the same from a loader of dictionaries, whose last batch has one sentence
    parts = [{key: value[i : i + 2] for key, value in given.items()} for i in (0, 2, 4)]
    assert_close(estimate("fisher_empirical", network, parts, ignore_index=-100), expected, 1e-9)
    exact = exact_by_loop(network, one_by_one(given), counted)
    assert_close(estimate("fisher_exact", network, given, ignore_index=-100), exact, 1e-9)
    assert_close(estimate("ggn", network, given, ignore_index=-100), exact, 1e-9)


def test_embeddings_and_projections_have_closed_forms():
    plan = examine(Forward(Tokens(False, key_bias=True).eval()), batch(sentences()))
    assert not plan.looped and not plan.vectorised
    assert plan.uses == {"places.weight": 0}, "called with positions only, not once per sample"


class Recurrent(nn.Module):
    def __init__(self, kind) -> None:
        super().__init__()
        self.memory = kind(3, 4, batch_first=True, bidirectional=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.memory(x)[0].mean(1))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN], ids=lambda kind: kind.__name__)
@pytest.mark.filterwarnings("ignore")
def test_recurrent_networks(kind):
    torch.manual_seed(0)
    network, x, y = Recurrent(kind), torch.randn(6, 5, 3), torch.randint(3, (6,))
    assert_close(estimate("mas", network, x, y), by_loop("mas", network, each(x), y), 1e-4)


class LowRank(nn.Module):
    """A frozen linear layer with a learnt update of rank two."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(2, layer.in_features))
        self.up = nn.Parameter(torch.randn(layer.out_features, 2))

    def forward(self, x):
        return self.layer(x) + x @ self.down.T @ self.up.T


def test_low_rank_adapters_alone_have_importances():
    torch.manual_seed(0)
    network = nn.Sequential(LowRank(nn.Linear(6, 8)), nn.Tanh(), LowRank(nn.Linear(8, 3))).double()
    x, y = torch.randn(7, 6).double(), torch.randint(3, (7,))
    importance = estimate("fisher_empirical", network, x, y)
    assert set(importance) == {"0.down", "0.up", "2.down", "2.up"}
    assert_close(importance, by_loop("fisher_empirical", network, each(x), y), 1e-10)
    assert set(estimate("magnitude", network, x)) == set(importance)
    hessian = estimate("hessian_diagonal", network, x, y, generator=torch.Generator().manual_seed(0))
    assert set(hessian) == set(importance)


@pytest.mark.parametrize("wrap", [weight_norm, spectral_norm], ids=lambda wrap: wrap.__name__)
def test_parametrised_modules(wrap):
    torch.manual_seed(0)
    network = nn.Sequential(wrap(nn.Linear(6, 8)), nn.Tanh(), nn.Linear(8, 3)).double().eval()
    x, y = torch.randn(7, 6).double(), torch.randint(3, (7,))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    importance = estimate("fisher_empirical", network.train(), x, y)
    assert_close(importance, by_loop("fisher_empirical", network, each(x), y), 1e-9)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("part", ["whole", "in place", "layer"])
def test_compiled_networks(part):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    x, y = torch.randn(7, 6).double(), torch.randint(3, (7,))
    expected = estimate("fisher_exact", network, x, y)
    compiled = network
    if part == "whole":
        compiled = torch.compile(network, backend="eager")
    elif part == "in place":
        network.compile(backend="eager")
    else:
        network[0] = torch.compile(network[0], backend="eager")
    compiled(x)
    importance = estimate("fisher_exact", compiled, x, y)
    assert set(importance) == {name for name, _ in compiled.named_parameters()}
    assert_close({name.replace("_orig_mod.", ""): value for name, value in importance.items()}, expected, 1e-12)


def test_attention_of_torch_itself():
    torch.manual_seed(0)
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.head = encoder, nn.Linear(8, 3)

        def forward(self, x, padding):
            return self.head(self.encoder(x, src_key_padding_mask=padding)[:, 0])

    network, x, y = Classifier().double(), torch.randn(6, 5, 8).double(), torch.randint(3, (6,))
    padding = torch.arange(5) >= torch.randint(2, 6, (6, 1))
    importance = estimate("fisher_empirical", network, (x, padding), y)
    assert_close(importance, by_loop("fisher_empirical", network, each(x, padding), y), 1e-9)
