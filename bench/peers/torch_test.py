#!/usr/bin/env python3
"""Tests of the parts of peers.py that need PyTorch and Torch-Pruning, on tiny networks; seconds.

usage: build/peers-venv/bin/python bench/peers/torch_test.py     (no part of ctest, which needs no package from elsewhere)
"""
import copy
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import torch  # noqa: E402

import cifar  # noqa: E402
import prune  # noqa: E402
import settings  # noqa: E402
import train  # noqa: E402
from errors import PeersError  # noqa: E402
from model_file import ModelFile, Tensor  # noqa: E402
from network import ResNet, build_teacher, channels, cost  # noqa: E402


def arch(kind="basic", shortcut="projection", stem="cifar"):
    grow = 1 if kind == "basic" else 4
    return {"in_channels": 3, "stem": stem, "stem_channels": 8, "classes": 3, "folded": False, "image_size": 32, "stages": [
        {"in_channels": 8, "out_channels": 8 * grow, "stride": 1,
         "blocks": {"kind": kind, "width": 8, "count": 2, "shortcut": shortcut}},
        {"in_channels": 8 * grow, "out_channels": 16 * grow, "stride": 2,
         "blocks": {"kind": kind, "width": 16, "count": 1, "shortcut": shortcut}}]}


def images(count=60):
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels = torch.arange(count) % 3
    pixels[:, 0] = (labels * 100).to(torch.uint8)[:, None, None]  # something to learn
    return train.Pixels(cifar.Images(pixels.numpy().tobytes(), bytes(labels.tolist())), [0.5] * 3, [0.25] * 3, "cpu")


class Network(unittest.TestCase):
    def test_is_rebuilt_from_its_tensors_by_mfis_names(self):
        torch.manual_seed(0)
        network = ResNet(arch()).eval()
        tensors = {name: Tensor(tuple(value.shape), value.numpy().tobytes())
                   for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
        self.assertIn("stage2.block0.shortcut.norm.running_mean", tensors)
        again = build_teacher(ModelFile(arch(), {}, tensors))
        x = torch.randn(2, 3, 32, 32)
        with torch.no_grad():
            self.assertLess((network(x) - again(x)).abs().max().item(), 1e-5)
        del tensors["head.bias"]
        with self.assertRaises(PeersError):
            build_teacher(ModelFile(arch(), {}, tensors))

    def test_with_padded_shortcuts_is_refused(self):
        with self.assertRaisesRegex(PeersError, "padded with zeros"):
            build_teacher(ModelFile(arch(shortcut="padded"), {}, {}))

    def test_costs_what_its_layers_cost(self):
        parameters, macs = cost(ResNet(arch()), 32)
        convs = [(3 * 8 * 9, 32), (8 * 8 * 9, 32), (8 * 8 * 9, 32), (8 * 8 * 9, 32), (8 * 8 * 9, 32), (8 * 16 * 9, 16),
                 (16 * 16 * 9, 16), (8 * 16, 16)]
        norms = 2 * (8 + 8 * 4 + 16 * 3)
        self.assertEqual(parameters, sum(weights for weights, _ in convs) + norms + 16 * 3 + 3)
        self.assertEqual(macs, sum(weights * side * side for weights, side in convs) + 16 * 3)


class Pruning(unittest.TestCase):
    def test_stops_just_below_the_limit_by_every_method(self):
        for kind in ("basic", "bottleneck"):
            torch.manual_seed(0)
            network = ResNet(arch(kind)).eval()
            for module in network.modules():  # as after a training: where all scales are the same, there is no order
                if isinstance(module, torch.nn.BatchNorm2d):
                    torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            whole = cost(network, 32)
            for method in prune.METHODS:
                for scope in ("global", "local"):
                    for place, match in enumerate(("params", "macs")):
                        pruned = copy.deepcopy(network)
                        pruner = prune.make_pruner(pruned, method, scope, 32)
                        limit = 0.6 * whole[place]
                        prune.prune_to(pruned, pruner, match, limit, 32)
                        self.assertLessEqual(cost(pruned, 32)[place], limit)
                        self.assertGreater(cost(pruned, 32)[place], 0.6 * limit)
                        self.assertEqual(pruned(torch.zeros(2, 3, 32, 32)).shape, (2, 3))

    def test_takes_the_channels_with_the_least_scale(self):
        network = ResNet(arch()).eval()
        with torch.no_grad():
            network.stage1.block0.conv1.norm.weight[:4] = 1e-3
        prune.prune_to(network, prune.make_pruner(network, "bn-scale", "global", 32), "params", cost(network, 32)[0] - 1, 32)
        left = channels(network)
        self.assertLess(left["stage1.block0.conv1.conv"], 8)
        self.assertEqual({count for name, count in left.items() if name != "stage1.block0.conv1.conv"}, {8, 16})

    def test_says_when_the_limit_is_out_of_reach(self):
        network = ResNet(arch()).eval()
        with self.assertRaisesRegex(PeersError, "still has more than 1 params"):
            prune.prune_to(network, prune.make_pruner(network, "random", "local", 32), "params", 1, 32)

    def test_counts_the_same_products_as_torch_pruning(self):
        network = ResNet(arch("bottleneck")).eval()
        found = prune.count_by_torch_pruning(network, 32)
        self.assertEqual((found["parameters"], found["products"]), cost(network, 32))


class Training(unittest.TestCase):
    def train(self, epochs=4, more=None, seed=0, **changes):
        torch.manual_seed(0)
        network = ResNet(arch())
        chosen = settings.TrainSettings(**(vars(settings.users_settings()) | {"batch_size": 20} | changes))
        return network, train.train(network, images(), chosen, epochs, seed, "test", **(more or {}))

    def test_learns_and_is_the_same_with_the_same_seed(self):
        network, log = self.train()
        self.assertLess(log[-1]["loss"], log[0]["loss"])
        again, _ = self.train()
        other, _ = self.train(seed=1)
        same = lambda a, b: all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters()))  # noqa: E731
        self.assertTrue(same(network, again))
        self.assertFalse(same(network, other))
        self.assertFalse(network.training)

    def test_runs_with_all_that_a_hybrids_recipe_may_say(self):
        teacher = ResNet(arch()).eval()
        for changes in ({"optimiser": "adamw", "decay_all": False, "learning_rate": 1e-3},
                        {"distillation": 0.5, "temperature": 4.0}, {"ema": 0.9}, {"schedule": "one-cycle"},
                        {"nesterov": True, "label_smoothing": 0.1, "augment": False},
                        {"flip": "alternating", "lookahead": 2, "ema": 0.9}):
            _, log = self.train(more={"teacher": teacher}, **changes)
            self.assertEqual(len(log), 4)

    def test_towards_sparsity_makes_scales_smaller(self):
        def scales(strength):
            torch.manual_seed(0)
            network = ResNet(arch())
            pruner = prune.make_pruner(network, "bn-sl", "global", 32)
            pruner.reg = strength
            train.train(network, images(), settings.sparsity_settings(), 3, 0, "test",
                        regularise=lambda: pruner.regularize(network))
            return sum(m.weight.abs().sum().item() for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d))

        self.assertLess(scales(0.1), scales(0))

    def test_learns_from_images_without_labels_what_the_teacher_says_of_them(self):
        teacher = ResNet(arch()).eval()
        chosen = settings.TrainSettings(**(vars(settings.users_settings()) | {"batch_size": 20, "distillation": 0.5}))
        log = train.train(ResNet(arch()), images().with_labels_at([0, 1, 2]), chosen, 1, 0, "test", teacher=teacher)
        self.assertIsNone(log[-1]["train_percent"])
        self.assertGreater(log[-1]["loss"], 0)

    def test_that_diverges_is_told(self):
        with self.assertRaisesRegex(PeersError, "not finite"):
            self.train(learning_rate=1e30)


class Labels(unittest.TestCase):
    def test_that_are_missing_leave_the_sum_of_the_others_over_all_images(self):
        torch.manual_seed(0)
        logits, labels = torch.randn(4, 3), torch.tensor([0, train.NO_LABEL, 2, train.NO_LABEL])
        chosen = settings.users_settings()
        whole = train.loss_of(logits[::2], labels[::2], chosen, None)
        self.assertAlmostEqual(train.loss_of(logits, labels, chosen, None).item(), whole.item() / 2, places=6)
        self.assertAlmostEqual(whole.item(), torch.nn.functional.cross_entropy(logits[::2], labels[::2]).item(), places=6)

    def test_are_forgotten_or_their_images_picked(self):
        data = images(6)
        known, picked = data.with_labels_at([1, 4]), data.only([1, 4])
        self.assertEqual(known.labels.tolist(), [train.NO_LABEL, 1, train.NO_LABEL, train.NO_LABEL, 1, train.NO_LABEL])
        self.assertEqual((len(known), len(picked), picked.labels.tolist()), (6, 2, [1, 1]))
        self.assertTrue(torch.equal(picked.images, data.images[[1, 4]]))
        self.assertEqual(data.labels.tolist(), [0, 1, 2, 0, 1, 2])


class LookingAhead(unittest.TestCase):
    # One weight that goes up by 1 a step, every 2 steps: 0, 1, 2 -> 1, 2, 3 -> 2 (mfi/train/lookahead.cpp).
    def test_goes_half_the_way_back_to_the_weights_that_follow(self):
        network = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(network.weight)
        lookahead, seen = train.Lookahead(network, 2), []
        for _ in range(4):
            with torch.no_grad():
                network.weight += 1
            lookahead.update()
            seen.append(network.weight.item())
        self.assertEqual(seen, [1, 1, 2, 2])

    def test_takes_the_batch_norms_statistics_with_it(self):
        network = torch.nn.BatchNorm2d(1)
        lookahead = train.Lookahead(network, 1)
        network.running_mean += 8
        lookahead.update()
        self.assertEqual(network.running_mean.item(), 4)


class Augmentation(unittest.TestCase):
    def test_alternates_sides_image_by_image(self):
        flips = train.Flips(100, torch.Generator().manual_seed(0))
        indices = torch.randperm(100, generator=torch.Generator().manual_seed(1))
        first, second, third = (flips.of(epoch, indices) for epoch in range(3))
        self.assertTrue(torch.equal(first, third))
        self.assertTrue(torch.equal(first, ~second))
        self.assertTrue(torch.equal(first, flips.of(0, torch.arange(100))[indices]))
        self.assertTrue(30 < first.sum() < 70)

    def test_flips_the_images_that_it_is_told_to(self):
        data, told = images(8), torch.tensor([True, False] * 4)
        shown = train.shift_and_flip(data.images, torch.Generator().manual_seed(0), told)
        other = train.shift_and_flip(data.images, torch.Generator().manual_seed(0), ~told)
        for image, mirrored in zip(shown, other):
            self.assertFalse(torch.equal(image, mirrored))
        self.assertTrue(torch.equal(shown[1], train.shift_and_flip(data.images, torch.Generator().manual_seed(0),
                                                                   torch.zeros(8).bool())[1]))

    def test_shows_a_window_of_the_padded_image_flipped_or_not(self):
        data = images(40)
        shown = train.shift_and_flip(data.images, torch.Generator().manual_seed(0))
        padded = torch.nn.functional.pad(data.images, (4,) * 4)
        seen = set()
        for image, whole in zip(shown, padded):
            found = [(down, right, flip) for down in range(9) for right in range(9) for flip in (False, True)
                     if torch.equal(image, (lambda w: w.flip(2) if flip else w)(whole[:, down:down + 32, right:right + 32]))]
            self.assertEqual(len(found), 1)
            seen.update(found)
        self.assertEqual({flip for _, _, flip in seen}, {False, True})
        self.assertGreater(len(seen), 30)


if __name__ == "__main__":
    torch.set_num_threads(1)
    unittest.main()
