"""Torch-Pruning, used as the script does with which it reproduces its results on CIFAR (reproduce/main.py)."""
import torch
import torch_pruning as tp

from errors import PeersError
from network import cost

# Small steps until the target is reached, at most everything: what that script takes. Its command lines rank all layers'
# channels together (scope "global"); the example on Torch-Pruning's first page takes as large a share of each ("local").
ITERATIVE_STEPS, RATIO = 400, 1.0
# By method: importance, pruner, and for training towards sparsity the strength of the regularisation, which is that of
# the command lines of Torch-Pruning's page on ResNet-56 and CIFAR-10; None: without.
METHODS = {
    "group-norm": (lambda: tp.importance.GroupMagnitudeImportance(p=2), tp.pruner.GroupNormPruner, None),
    "bn-scale": (lambda: tp.importance.BNScaleImportance(), tp.pruner.BNScalePruner, None),
    "random": (lambda: tp.importance.RandomImportance(), tp.pruner.BasePruner, None),
    "group-sl": (lambda: tp.importance.GroupMagnitudeImportance(p=2, normalizer="max"), tp.pruner.GroupNormPruner, 5e-4),
    "bn-sl": (lambda: tp.importance.BNScaleImportance(), tp.pruner.BNScalePruner, 1e-5),
}


def make_pruner(network, method, scope, image_size):
    importance, pruner, strength = METHODS[method]
    more = {} if strength is None else {"reg": strength}
    device = next(network.parameters()).device
    return pruner(network, torch.zeros(1, 3, image_size, image_size, device=device), importance=importance(),
                  global_pruning=scope == "global", pruning_ratio=RATIO, iterative_steps=ITERATIVE_STEPS,
                  ignored_layers=[network.head], **more)


def pruning_settings(method, scope):
    """For the record of a result."""
    importance, pruner, strength = METHODS[method]
    made = importance()
    return {"importance": type(made).__name__, "normalizer": getattr(made, "normalizer", None), "pruner": pruner.__name__,
            "global_pruning": scope == "global", "pruning_ratio": RATIO, "iterative_steps": ITERATIVE_STEPS, "ignored": "head",
            "regularisation": strength}


def prune_to(network, pruner, match, limit, image_size):
    """Steps until the network has at most `limit` parameters or MACs; the number of steps. Random importance draws from
    torch's global generator. Raises PeersError where the pruner comes to its end before."""
    network.eval()
    for step in range(1, ITERATIVE_STEPS + 1):
        pruner.step()
        if cost(network, image_size)[0 if match == "params" else 1] <= limit:
            return step
    raise PeersError(f"Torch-Pruning took all its {ITERATIVE_STEPS} steps and still has more than {limit} {match}")


def count_by_torch_pruning(network, image_size):
    """What Torch-Pruning counts, and which part of it are convolutions' and linear layers' products: mfi's MACs. Its sum
    also has the linear layer's additions of biases, two operations for each value that a batch norm makes, and others'."""
    example = torch.zeros(1, 3, image_size, image_size, device=next(network.parameters()).device)
    operations, parameters, by_layer, _ = tp.utils.count_ops_and_params(network, example, layer_wise=True)
    products = 0
    for layer, count in by_layer.items():
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
            products += int(count) - (0 if layer.bias is None else layer.out_features)
    return {"parameters": int(parameters), "operations": int(operations), "products": products}
