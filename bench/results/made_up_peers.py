#!/usr/bin/env python3
"""For tests: stands for a Python with PyTorch (MFI_BENCH_PYTHON), and leaves what peers.py would, without any training."""
import itertools
import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "shared")]
from epochs import epochs_after_teacher, hybrid_record  # noqa: E402
from run_files import read_toml  # noqa: E402


def main():
    run, flags = Path(sys.argv[3]), dict(zip(sys.argv[4::2], sys.argv[5::2]))
    results = json.loads((run / "results.json").read_text())
    steps = {step["step"]: step for step in results["steps"]}
    recipe = read_toml(run / "recipe.toml")
    hybrid, seed = hybrid_record(recipe, steps), int(flags["--seeds"])
    training = {key: value for key, value in recipe["hybrid"].items() if key not in ("epochs", "features")}
    (run / "peers").mkdir(exist_ok=True)
    def chosen(flag, all_words):
        return all_words if flags[flag] == "both" else (flags[flag],)

    for number, method in enumerate(flags["--methods"].split(",")):
        for match, scope in itertools.product(chosen("--match", ("params", "macs")), chosen("--scope", ("global", "local"))):
            limit = hybrid["parameters" if match == "params" else "macs"]
            kind = {"method": method, "match": match, "scope": scope, "recipe": flags["--recipe"], "seed": seed}
            name = "-".join(map(str, list(kind.values())[:-1])) + f"-s{seed}"
            peer = {"peer": name} | kind | {
                "parameters": hybrid["parameters"] - 1000, "macs": hybrid["macs"] - 1000,
                "test_top1_percent": round(hybrid["test_top1_percent"] - 2 * number - 0.2, 2), "test_loss": 0.6,
                "seconds": 100.0, "made_with": {"torch": "9.9.9", "threads": 2, "machine": "x86_64"},
                "settings": {"method": method, "match": match, "scope": scope, "recipe": flags["--recipe"], "precision": flags.get("--precision", "fp32"),
                             "data_fingerprint": results["data_fingerprint"], "training_images": results["training_images"],
                             "validation": recipe["data"]["validation"], "data_seed": recipe["seed"], "limit": limit,
                             "epochs": epochs_after_teacher(recipe),
                             "teacher_sha256": steps["teacher"]["model_sha256"], "labelled": recipe["data"].get("labelled", 1),
                             "training": training | {"decay_all": False}, "torch_pruning": "9.9.9"}}
            (run / "peers" / f"{name}.json").write_text(json.dumps(peer))


if __name__ == "__main__":
    main()
