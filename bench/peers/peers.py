#!/usr/bin/env python3
"""Other people's pruning on the teacher of one of our runs, in one table and one chart with the run's own networks.

usage: peers.py MFI RUN [flags]       (needs the packages of bench/peers/requirements.txt; docs/peers.md)

MFI is the program, RUN the folder of an `mfi run` on CIFAR whose hybrid's size is known: that has its hybrid, or with
pipeline.blocks its mapping. Its teacher is taken into PyTorch, checked against what mfi says of it, pruned by Torch-Pruning to
the hybrid's parameters or MACs, and trained for as many epochs as the hybrid has after the teacher. The test images are read
once, when a peer is finished. Each peer's result is a file in the --out folder; a second start goes on with those that are
missing.
"""
import argparse
import copy
import fcntl
import itertools
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.dont_write_bytecode = True  # the source tree may be somebody else's
sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "shared"))
from cifar import open_cifar  # noqa: E402
from errors import PeersError  # noqa: E402
from model_file import read_model_file  # noqa: E402
from results import read_done, write_all  # noqa: E402
from run_folder import Run  # noqa: E402
from settings import RECIPES, our_settings, sparsity_settings, users_settings  # noqa: E402
from table import MATCHES, METHODS, SCOPES  # noqa: E402
from text_table import count_text  # noqa: E402
from whole_file import write_json  # noqa: E402

USUAL_METHODS = ("group-norm", "bn-scale", "random")


def parse(words=None):
    def list_of(choices):
        def read(text):
            names = text.split(",")
            for name in names:
                if name not in choices:
                    raise argparse.ArgumentTypeError(f"'{name}' is none of {', '.join(choices)}")
            return names

        return read

    def seeds(text):
        if not all(word.isdigit() for word in text.split(",")):
            raise argparse.ArgumentTypeError(f"'{text}', expected whole numbers with commas between them")
        return [int(word) for word in text.split(",")]

    def at_least_one(text):
        if not text.isdigit() or int(text) == 0:
            raise argparse.ArgumentTypeError(f"'{text}', expected a whole number from 1")
        return int(text)

    parser = argparse.ArgumentParser(prog="peers.py", description="other people's pruning on the teacher of a run")
    parser.add_argument("mfi", help="the mfi program")
    parser.add_argument("run", type=Path, help="folder of an mfi run that has its hybrid, or with pipeline.blocks its mapping")
    parser.add_argument("--data", default=os.environ.get("MFI_DATA"), help="folder of the data; default: MFI_DATA")
    parser.add_argument("--out", type=Path, help="where results go; default: RUN/peers")
    parser.add_argument("--match", choices=[*MATCHES, "both"], default="both",
                        help="prune to the hybrid's parameters, its MACs, or once to each; default: both")
    parser.add_argument("--scope", choices=[*SCOPES, "both"], default="both",
                        help="rank all layers' channels together (global), take as large a share of each layer (local), "
                        "or once so and once so; default: both")
    parser.add_argument("--recipe", choices=[*RECIPES, "both"], default="users",
                        help="train with Torch-Pruning's users' settings, with the hybrid's, or once with each; "
                        "default: users")
    parser.add_argument("--methods", type=list_of(METHODS), default=list(USUAL_METHODS), metavar="NAME,...",
                        help=f"of {', '.join(METHODS)}; default: {','.join(USUAL_METHODS)}. The last two spend half of "
                        "the epochs on training towards sparsity")
    parser.add_argument("--seeds", type=seeds, default=[0], metavar="N,...", help="one training for each; default: 0")
    parser.add_argument("--epochs", type=at_least_one, help="after the teacher; default: as many as the hybrid had")
    parser.add_argument("--controls", action="store_true",
                        help="first have mfi train the run's controls smaller-resnet and distilled-resnet")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="of the peers' training")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; default: cpu")
    parser.add_argument("--threads", type=at_least_one, help="default: PyTorch's")
    return parser.parse_args(words)


def run_mfi(command):
    """Ctrl-C reaches mfi as it reaches us, and mfi saves its state first: it is waited for."""
    try:
        process = subprocess.Popen(command)
    except OSError as error:
        raise PeersError(f"{command[0]}: cannot be run: {error.strerror}")
    interrupted = False
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        raise KeyboardInterrupt
    if code != 0:
        raise PeersError(f"{' '.join(command)} failed")


def add_controls(args, run):
    if run.results.get("unlabelled_pictures"):
        raise PeersError(f"--controls: {args.run} has learnt from pictures without labels, which are not handed on; first run "
                         f"'mfi run {args.run}/recipe.toml --out {args.run} --unlabelled DIR --set "
                         "controls.smaller_resnet=true --set controls.distilled_resnet=true'")
    command = [args.mfi, "run", str(args.run / "recipe.toml"), "--out", str(args.run), "--data", args.data, "--set",
               "controls.smaller_resnet=true", "--set", "controls.distilled_resnet=true"]
    if args.threads:
        command += ["--set", f"runtime.threads={args.threads}"]
    run_mfi(command)


def planned(args):
    """(method, match, scope, recipe, seed) of each peer, in the table's order."""
    def chosen(word, all_words):
        return list(all_words) if word == "both" else [word]

    return list(itertools.product(args.methods, chosen(args.match, MATCHES), chosen(args.scope, SCOPES),
                                  chosen(args.recipe, RECIPES), args.seeds))


def settings_of(args, run, method, match, scope, recipe, seed):
    """Everything that decides a peer's result; while its file says the same, it is not made again."""
    import prune

    epochs = args.epochs or run.epochs_after_teacher()
    pruning = prune.pruning_settings(method, scope)
    sparsity_epochs = 0 if pruning["regularisation"] is None else epochs // 2
    if epochs == sparsity_epochs or (pruning["regularisation"] is not None and sparsity_epochs == 0):
        raise PeersError(f"{method} needs 2 epochs at least, for sparsity and after it; there is {epochs}")
    training = users_settings() if recipe == "users" else our_settings(run.recipe)
    return {"method": method, "match": match, "limit": run.limit(match), "scope": scope, "recipe": recipe, "seed": seed,
            "epochs": epochs, "sparsity_epochs": sparsity_epochs, "precision": args.precision, "pruning": pruning,
            "training": vars(training), "sparsity_training": vars(sparsity_settings()) if sparsity_epochs else None,
            "torch_pruning": package_version("torch-pruning"), "teacher_sha256": run.teacher["model_sha256"],
            "data_fingerprint": run.results["data_fingerprint"], "training_images": run.results["training_images"],
            "validation": run.recipe["data"]["validation"], "labelled": run.labelled(), "data_seed": run.recipe["seed"]}


def package_version(name):
    from importlib.metadata import version

    return version(name)


@dataclass(frozen=True)
class Data:
    train: object  # train.Pixels
    labelled: list  # indices of those that have a label
    test: object

    def seen_by(self, training):
        """As in mfi: with the teacher's soft labels a training sees all images, without them those with a label alone."""
        if len(self.labelled) == len(self.train):
            return self.train
        return self.train.with_labels_at(self.labelled) if training.distillation > 0 else self.train.only(self.labelled)


def make_peer(name, settings, training, teacher, image_size, data):
    import torch

    import prune
    from network import channels, cost
    from train import evaluate, train

    start = time.perf_counter()
    seed = settings["seed"]
    torch.manual_seed(seed)
    network = copy.deepcopy(teacher)
    pruner = prune.make_pruner(network, settings["method"], settings["scope"], image_size)
    sparsity_log = []
    if settings["sparsity_epochs"]:
        towards = sparsity_settings()
        sparsity_log = train(network, data.seen_by(towards), towards, settings["sparsity_epochs"], seed + 1_000_000,
                             f"{name}, towards sparsity", settings["precision"],
                             regularise=lambda: pruner.regularize(network))
    steps = prune.prune_to(network, pruner, settings["match"], settings["limit"], image_size)
    del pruner
    parameters, macs = cost(network, image_size)
    print(f"{name}: pruned in {steps} steps to {count_text(parameters)} parameters, {count_text(macs)} MACs", file=sys.stderr)
    seen = data.seen_by(training)
    log = train(network, seen, training, settings["epochs"] - settings["sparsity_epochs"], seed, name, settings["precision"],
                teacher=teacher if training.distillation > 0 else None)
    top1, loss = evaluate(network, data.test)  # the only time that this peer sees the test images
    kind = {key: settings[key] for key in ("method", "match", "scope", "recipe", "seed")}
    return {"peer": name} | kind | {
            "parameters": parameters, "macs": macs, "test_top1_percent": top1, "test_loss": loss,
            "images_seen": len(seen), "labels_seen": len(data.labelled),
            "pruning_steps": steps, "torch_pruning_count": prune.count_by_torch_pruning(network, image_size),
            "channels": channels(network), "sparsity_log": sparsity_log, "log": log,
            "seconds": round(time.perf_counter() - start, 1), "settings": settings,
            "made_with": {"torch": torch.__version__, "python": platform.python_version(),
                          "threads": torch.get_num_threads(), "device": str(seen.images.device),
                          "machine": platform.machine()}}


def work(args):
    if not args.data:
        raise PeersError("no data folder given: name one with --data or in MFI_DATA")
    run = Run(args.run)  # what is wrong with the folder is better said before the controls are trained
    if args.controls:
        add_controls(args, run)
        run = Run(args.run)
    run.check_teacher_file()
    try:
        import torch
        import torch_pruning  # noqa: F401
    except ImportError as error:
        raise PeersError(f"{error}; `{sys.executable} -m pip install -r bench/peers/requirements.txt` installs it")
    from network import build_teacher
    from teacher_check import check_teacher
    from train import Pixels

    if args.threads:
        torch.set_num_threads(args.threads)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise PeersError("--device cuda: this PyTorch sees no CUDA device")
    recipe = run.recipe
    splits = open_cifar(run.results["dataset"], args.data, recipe["data"]["limit"], recipe["data"]["validation"],
                        recipe["seed"], run.labelled())
    if splits.fingerprint != run.results["data_fingerprint"] or len(splits.train) != run.results["training_images"]:
        raise PeersError(f"{args.data}: these are not the images that the run was trained on ({len(splits.train)} here, "
                         f"{run.results['training_images']} there)")
    model = read_model_file(run.teacher_file)
    image_size = model.arch["image_size"]
    teacher = build_teacher(model).to(args.device)
    train_data, test_data = (Pixels(part, model.info["mean"], model.info["stddev"], args.device)
                             for part in (splits.train, splits.test))
    data = Data(train_data, splits.labelled, test_data)
    check = check_teacher(args.mfi, run, teacher, image_size, data.train, data.test)
    print(f"The teacher in PyTorch: logits within {check['largest_logit_difference']:.1g} of mfi's, "
          f"{check['test_top1_percent']:.2f} % of the test images", file=sys.stderr)

    out = args.out or args.run / "peers"
    out.mkdir(parents=True, exist_ok=True)
    lock = open(out / ".lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise PeersError(f"{out}: another peers.py works here")
    plan = {"-".join(map(str, kind[:-1])) + f"-s{kind[-1]}": settings_of(args, run, *kind) for kind in planned(args)}
    peers = {name: read_done(out / f"{name}.json", settings) for name, settings in plan.items()}
    text = write_all(out, run, check, [peer for peer in peers.values() if peer])
    for name, settings in plan.items():
        if peers[name]:
            continue
        training = users_settings() if settings["recipe"] == "users" else our_settings(run.recipe)
        peers[name] = make_peer(name, settings, training, teacher, image_size, data)
        write_json(out / f"{name}.json", peers[name])
        text = write_all(out, run, check, [peer for peer in peers.values() if peer])
    print(text, end="")
    print(f"Written: {out}/table.txt, table.md, chart.svg, peers.json", file=sys.stderr)


def main():
    args = parse()
    try:
        work(args)
    except PeersError as error:
        sys.exit(f"peers.py: {error}")
    except KeyboardInterrupt:
        print("peers.py: stopped; the same command goes on with the peers that are missing", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
