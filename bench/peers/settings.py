"""How the pruned networks are trained: as Torch-Pruning's users do it, or as the run's hybrid was."""
import math
from dataclasses import dataclass

RECIPES = ("users", "ours")
# Keys of [hybrid] that are no settings of a peer: epochs are counted with those before them (run_folder.py), and the stages of
# a pruned network have fewer channels than the teacher's, so their outputs have no distance.
LEFT_OUT = ("epochs", "features")


@dataclass(frozen=True)
class TrainSettings:
    optimiser: str  # sgd or adamw
    learning_rate: float
    momentum: float
    nesterov: bool
    weight_decay: float
    decay_all: bool  # biases and norms too
    schedule: str  # steps, cosine, one-cycle or constant
    warmup_epochs: float
    label_smoothing: float
    ema: float
    distillation: float
    temperature: float
    batch_size: int
    augment: bool
    flip: str  # random or alternating
    lookahead: int  # steps; 0: none


def users_settings():
    """What the script with which Torch-Pruning reproduces its CIFAR results takes where its command lines say nothing
    else: SGD without Nesterov momentum, a tenth of the rate after 60 % of the epochs and again after 80 %."""
    return TrainSettings(optimiser="sgd", learning_rate=0.01, momentum=0.9, nesterov=False, weight_decay=5e-4,
                         decay_all=True, schedule="steps", warmup_epochs=0, label_smoothing=0, ema=0, distillation=0,
                         temperature=1, batch_size=128, augment=True, flip="random", lookahead=0)


def sparsity_settings():
    """The same script's training towards sparsity: no decay of weights, the pruner's regularisation in its place."""
    return TrainSettings(**(vars(users_settings()) | {"weight_decay": 0}))


def our_settings(recipe):
    """[hybrid] of the run's recipe: what teacher-longer and no-mapping are trained with. All of it but LEFT_OUT. A recipe from
    before a key has its default."""
    r = recipe["hybrid"]
    return TrainSettings(optimiser=r["optimiser"], learning_rate=r["learning_rate"], momentum=r["momentum"],
                         nesterov=r["momentum"] > 0, weight_decay=r["weight_decay"], decay_all=False,
                         schedule=r["schedule"], warmup_epochs=r["warmup_epochs"], label_smoothing=r["label_smoothing"],
                         ema=r["ema"], distillation=r["distillation"], temperature=r["temperature"],
                         batch_size=r["batch_size"], augment=r["augment"], flip=r.get("flip", "random"),
                         lookahead=r.get("lookahead", 0))


def learning_rate(settings, epochs, batches_per_epoch, batch):
    """Of a batch, counted from 0 over all epochs. All but `steps` as mfi/train/schedule.cpp."""
    peak = settings.learning_rate
    if settings.schedule == "steps":
        epoch = batch // batches_per_epoch
        return peak * 0.1 ** sum(epoch >= share * epochs for share in (0.6, 0.8))
    total = epochs * batches_per_epoch
    warmup = min(settings.warmup_epochs * batches_per_epoch, total)
    if settings.schedule == "one-cycle":
        if settings.warmup_epochs == 0:
            warmup = 0.3 * total
        if batch < warmup:
            return _half_cosine(peak / 25, peak, batch / warmup)
    elif batch < warmup:
        return peak * (batch + 1) / (warmup + 1)
    if settings.schedule == "constant":
        return peak
    return _half_cosine(peak, 0, (batch - warmup) / max(1, total - warmup))


def _half_cosine(start, end, x):
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(max(x, 0), 1)))
