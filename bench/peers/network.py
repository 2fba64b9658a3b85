"""The teacher as a PyTorch network that can be trained: batch norms beside their convolutions, mfi's names for all."""
import torch
from torch import nn

from errors import PeersError


class ConvNorm(nn.Module):
    def __init__(self, channels_in, channels_out, kernel, stride):
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, x):
        return self.norm(self.conv(x))


class Block(nn.Module):
    def __init__(self, blocks, channels_in, channels_out, stride):
        super().__init__()
        width = blocks["width"]
        if blocks["kind"] == "basic":
            shapes = [(channels_in, width, 3, stride), (width, channels_out, 3, 1)]
        else:
            shapes = [(channels_in, width, 1, 1), (width, width, 3, stride), (width, channels_out, 1, 1)]
        for number, shape in enumerate(shapes, 1):
            setattr(self, f"conv{number}", ConvNorm(*shape))
        self.count = len(shapes)
        if stride != 1 or channels_in != channels_out:
            self.shortcut = ConvNorm(channels_in, channels_out, 1, stride)

    def forward(self, x):
        y = x
        for number in range(1, self.count):
            y = torch.relu(getattr(self, f"conv{number}")(y))
        y = getattr(self, f"conv{self.count}")(y)
        return torch.relu(y + (self.shortcut(x) if hasattr(self, "shortcut") else x))


class ResNet(nn.Module):
    """arch: a model file's mfi.arch, of a network of blocks alone, with projections for its shortcuts."""

    def __init__(self, arch):
        super().__init__()
        self.large = arch["stem"] == "imagenet"
        self.stem = nn.Module()
        self.stem.conv = ConvNorm(arch["in_channels"], arch["stem_channels"], *((7, 2) if self.large else (3, 1)))
        self.stages = [f"stage{number}" for number in range(1, len(arch["stages"]) + 1)]
        channels = arch["stem_channels"]
        for name, stage in zip(self.stages, arch["stages"]):
            blocks = stage["blocks"]
            row = nn.Sequential()
            for number in range(blocks["count"]):
                block = Block(blocks, channels, stage["out_channels"], stage["stride"] if number == 0 else 1)
                row.add_module(f"block{number}", block)
                channels = stage["out_channels"]
            self.add_module(name, row)
        self.head = nn.Linear(channels, arch["classes"])

    def forward(self, images):
        x = torch.relu(self.stem.conv(images))
        if self.large:
            x = nn.functional.max_pool2d(x, 3, 2, 1)
        for name in self.stages:
            x = getattr(self, name)(x)
        return self.head(x.mean((2, 3)))


def build_teacher(model):
    """The network of a ModelFile, in eval mode. Raises PeersError where it is none that can be pruned."""
    arch = model.arch
    if arch["folded"]:
        raise PeersError("the teacher is folded: without batch norms it cannot be trained on")
    for number, stage in enumerate(arch["stages"], 1):
        if "blocks" not in stage:
            raise PeersError(f"stage {number} of the teacher has no residual blocks")
        if stage["blocks"]["shortcut"] != "projection" and (
                stage["stride"] != 1 or stage["in_channels"] != stage["out_channels"]):
            raise PeersError("the teacher's shortcuts are padded with zeros, which Torch-Pruning does not follow; expected "
                             'a teacher with network.shortcut = "projection"')
    network = ResNet(arch)
    state = {name: torch.frombuffer(bytearray(tensor.data), dtype=torch.float32).reshape(tensor.shape)
             for name, tensor in model.tensors.items()}
    wanted = {name for name in network.state_dict() if not name.endswith("num_batches_tracked")}
    if wanted != set(state):
        raise PeersError(f"the teacher's tensors are not those of its description: {sorted(wanted ^ set(state))[:3]} ...")
    network.load_state_dict(state, strict=False)
    return network.to(memory_format=torch.channels_last).eval()


def cost(network, image_size):
    """Parameters and multiply-accumulates of one image, counted as mfi counts them: what training changes, and
    convolutions and linear layers alone."""
    macs = 0

    def count(module, _, out):
        nonlocal macs
        places = out.numel() // out.shape[1]  # of one image
        macs += module.weight.numel() * places

    hooks = [module.register_forward_hook(count) for module in network.modules()
             if isinstance(module, (nn.Conv2d, nn.Linear))]
    was_training = network.training
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, image_size, image_size, device=next(network.parameters()).device))
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    return sum(parameter.numel() for parameter in network.parameters()), macs


def channels(network):
    """Output channels of each convolution, by name: what pruning has left."""
    return {name: module.out_channels for name, module in network.named_modules() if isinstance(module, nn.Conv2d)}
