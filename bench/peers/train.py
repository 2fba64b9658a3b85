"""Training and evaluation of one network, in PyTorch as its users write it."""
import copy
import math
import sys
import time

import torch
from torch.nn import functional as F

from cifar import SIDE
from errors import PeersError
from settings import learning_rate

PADDING = 4  # pixels; mfi's, and that of Torch-Pruning's script
EVALUATION_BATCH = 500
NO_LABEL = -100  # in a label's place, as in mfi/data/no_label.h


class Pixels:
    """Images on the device, as bytes until they are needed."""

    def __init__(self, images, mean, stddev, device):
        self.images = torch.frombuffer(bytearray(images.pixels), dtype=torch.uint8).reshape(-1, 3, SIDE, SIDE).to(device)
        self.labels = torch.frombuffer(bytearray(images.labels), dtype=torch.uint8).long().to(device)
        self.mean = torch.tensor(mean, device=device).reshape(1, 3, 1, 1)
        self.stddev = torch.tensor(stddev, device=device).reshape(1, 3, 1, 1)

    def __len__(self):
        return len(self.labels)

    def only(self, indices):
        """The images at `indices`."""
        return self._with(self.images[indices], self.labels[indices])

    def with_labels_at(self, indices):
        """The same images; all but those at `indices` have lost their labels."""
        labels = torch.full_like(self.labels, NO_LABEL)
        labels[indices] = self.labels[indices]
        return self._with(self.images, labels)

    def _with(self, images, labels):
        out = copy.copy(self)
        out.images, out.labels = images, labels
        return out

    def normalise(self, images):
        return ((images.float() / 255 - self.mean) / self.stddev).contiguous(memory_format=torch.channels_last)

    def batch(self, indices, generator=None, flips=None):
        """With a generator: each image shifted by up to four pixels, black moving in, and flipped where `flips` says so
        (bool, one an image), without that by chance."""
        images = self.images[indices]
        if generator is not None:
            images = shift_and_flip(images, generator, flips)
        return self.normalise(images), self.labels[indices]


def shift_and_flip(images, generator, flips=None):
    count, device = len(images), images.device
    shifts = torch.randint(2 * PADDING + 1, (2, count, 1), generator=generator).to(device)
    if flips is None:
        flips = torch.randint(2, (count,), generator=generator).bool()
    line = torch.arange(SIDE, device=device)[None]
    rows = line + shifts[0]
    columns = torch.where(flips.to(device)[:, None], SIDE - 1 - line, line) + shifts[1]
    padded = F.pad(images, (PADDING,) * 4)
    number = torch.arange(count, device=device)[:, None, None]
    return padded[number, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def make_optimiser(network, settings):
    parameters = list(network.parameters())
    if not settings.decay_all:  # mfi's: biases and norms keep what they have
        parameters = [{"params": [p for p in parameters if p.dim() > 1]},
                      {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0}]
    if settings.optimiser == "adamw":
        return torch.optim.AdamW(parameters, settings.learning_rate, weight_decay=settings.weight_decay)
    return torch.optim.SGD(parameters, settings.learning_rate, settings.momentum, weight_decay=settings.weight_decay,
                           nesterov=settings.nesterov)


class Flips:
    """Which images an epoch sees mirrored, where that alternates (mfi/data/augment.cpp): half of them, by chance, in the first
    epoch, the others in the second, and so on."""

    def __init__(self, count, generator):
        self.first = torch.randint(2, (count,), generator=generator).bool()

    def of(self, epoch, indices):
        return self.first[indices] ^ (epoch % 2 == 1)


class Followers:
    """Values beside the network's weights and statistics that follow them."""

    def __init__(self, network):
        self.network, self.count = network, 0
        self.values = [tensor.detach().clone() for tensor in self._tensors()]

    def _tensors(self):
        return [tensor for tensor in self.network.state_dict().values() if tensor.is_floating_point()]

    @torch.no_grad()
    def _follow(self, share):
        torch._foreach_lerp_(self.values, self._tensors(), share)

    @torch.no_grad()
    def put_in(self):
        for tensor, value in zip(self._tensors(), self.values):
            tensor.copy_(value)


class Average(Followers):
    """The moving average, as mfi/train/moving_average.cpp."""

    def __init__(self, network, decay):
        super().__init__(network)
        self.decay = decay

    def update(self):
        self.count += 1
        self._follow(1 - min(self.decay, (1 + self.count) / (10 + self.count)))


class Lookahead(Followers):
    """Every so many steps the values come half the way to the weights, and the weights back to them, as
    mfi/train/lookahead.cpp."""

    def __init__(self, network, every):
        super().__init__(network)
        self.every = every

    def update(self):
        self.count += 1
        if self.count % self.every == 0:
            self._follow(0.5)
            self.put_in()


def loss_of(logits, labels, settings, soft_logits):
    """An image without a label has no cross-entropy: the batch's is the sum of the others' over all images."""
    loss = F.cross_entropy(logits, labels, reduction="sum", ignore_index=NO_LABEL,
                           label_smoothing=settings.label_smoothing) / len(labels)
    if soft_logits is None:
        return loss
    t = settings.temperature
    divergence = F.kl_div(F.log_softmax(logits / t, 1), F.log_softmax(soft_logits / t, 1), reduction="batchmean",
                          log_target=True)
    return (1 - settings.distillation) * loss + settings.distillation * t * t * divergence


def train(network, data, settings, epochs, seed, name, precision="fp32", teacher=None, regularise=None):
    """Trains in place and leaves eval mode; returns each epoch's figures. Of the test images it knows nothing.

    teacher: for the soft labels, where the settings ask for them. regularise: called between backward pass and step.
    Raises PeersError when the loss is no longer finite."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = make_optimiser(network, settings)
    average = Average(network, settings.ema) if settings.ema > 0 else None
    lookahead = Lookahead(network, settings.lookahead) if settings.lookahead > 0 else None
    flips = Flips(len(data), generator) if settings.augment and settings.flip == "alternating" else None
    all_labelled = not (data.labels == NO_LABEL).any().item()
    batches = max(1, len(data) // settings.batch_size)  # as mfi: the last batch is left out, unless it is the only one
    half = torch.autocast(data.images.device.type, torch.bfloat16, enabled=precision == "bf16")
    log = []
    for epoch in range(epochs):
        start, loss_sum, right, seen = time.perf_counter(), 0.0, 0, 0
        network.train()
        order = torch.randperm(len(data), generator=generator)
        for batch in range(batches):
            rate = learning_rate(settings, epochs, batches, epoch * batches + batch)
            for group in optimiser.param_groups:
                group["lr"] = rate
            indices = order[batch * settings.batch_size:(batch + 1) * settings.batch_size]
            images, labels = data.batch(indices.to(data.images.device), generator if settings.augment else None,
                                        flips.of(epoch, indices) if flips else None)
            with half:
                soft = None
                if settings.distillation > 0:
                    with torch.no_grad():
                        soft = teacher(images).float()
                logits = network(images).float()
            loss = loss_of(logits, labels, settings, soft)
            optimiser.zero_grad()
            loss.backward()
            if regularise:
                regularise()
            optimiser.step()
            if lookahead:
                lookahead.update()
            if average:
                average.update()
            loss_sum += loss.item() * len(labels)
            right += (logits.argmax(1) == labels).sum().item()
            seen += len(labels)
        if not math.isfinite(loss_sum):
            raise PeersError(f"{name}: the loss is not finite in epoch {epoch + 1}")
        line = {"epoch": epoch + 1, "learning_rate": rate, "loss": loss_sum / seen,
                "train_percent": 100 * right / seen if all_labelled else None,
                "seconds": round(time.perf_counter() - start, 1)}
        log.append(line)
        train_text = f"train {line['train_percent']:.2f} %, " if all_labelled else ""
        print(f"{name}: epoch {epoch + 1} of {epochs}, loss {line['loss']:.3f}, {train_text}{line['seconds']:.0f} s",
              file=sys.stderr, flush=True)
    if average:
        average.put_in()
    network.eval()
    return log


@torch.no_grad()
def evaluate(network, data):
    """Accuracy in per cent and mean cross-entropy, in float32."""
    network.eval()
    right, loss = 0, 0.0
    for indices in torch.arange(len(data), device=data.images.device).split(EVALUATION_BATCH):
        images, labels = data.batch(indices)
        logits = network(images)
        right += (logits.argmax(1) == labels).sum().item()
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
    return 100 * right / len(data), loss / len(data)
