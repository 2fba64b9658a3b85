"""That PyTorch's teacher is the run's teacher: same logits, same size, same accuracy. Everything after rests on it."""
import importlib.util
import subprocess
import tempfile
from pathlib import Path

import torch

from errors import PeersError
from network import cost
from prune import count_by_torch_pruning
from train import evaluate

IMAGES = 256
LOGIT_TOLERANCE = 1e-4  # what `mfi verify` takes: float32, folded batch norms against plain ones
IMAGES_APART = 3  # that may fall to another class because of rounding, with near ties


def exported_network(mfi, model_file, folder):
    """The network of the program that `mfi export` writes, which has nothing to do with ours."""
    program = Path(folder) / "exported_teacher.py"
    command = [str(mfi), "export", str(model_file), "--format", "pytorch", "--out", str(program)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise PeersError(f"{mfi}: cannot be run: {error.strerror}")
    if done.returncode != 0:
        raise PeersError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    spec = importlib.util.spec_from_file_location("exported_teacher", program)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load()


def check_teacher(mfi, run, network, image_size, train_data, test_data):
    """Raises PeersError at the first difference; returns what was measured."""
    images, _ = train_data.batch(torch.arange(min(IMAGES, len(train_data)), device=train_data.images.device))
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        exported = exported_network(mfi, run.teacher_file, folder).to(images.device)
        expected, found = exported(images), network(images)
    apart = (expected - found).abs().max().item()
    if not apart <= LOGIT_TOLERANCE:
        raise PeersError(f"the teacher's logits differ by {apart:.2g} from those of `mfi export`'s program, expected at "
                         f"most {LOGIT_TOLERANCE}")
    parameters, macs = cost(network, image_size)
    theirs = count_by_torch_pruning(network, image_size)
    for what, here, there in (("parameters", parameters, run.teacher["parameters"]), ("MACs", macs, run.teacher["macs"]),
                              ("parameters by Torch-Pruning", theirs["parameters"], parameters),
                              ("products by Torch-Pruning", theirs["products"], macs)):
        if here != there:
            raise PeersError(f"the teacher's {what}: {here} here, {there} expected")
    top1, _ = evaluate(network, test_data)
    expected_top1 = run.teacher["test_top1_percent"]
    if abs(top1 - expected_top1) * len(test_data) / 100 > IMAGES_APART + 0.5:
        raise PeersError(f"the teacher gets {top1:.2f} % of the test images right in PyTorch, {expected_top1:.2f} % in mfi")
    return {"largest_logit_difference": apart, "images": len(images), "largest_logit": expected.abs().max().item(),
            "parameters": parameters, "macs": macs, "torch_pruning": theirs, "test_top1_percent": top1}
