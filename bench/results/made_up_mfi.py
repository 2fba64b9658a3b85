#!/usr/bin/env python3
"""For tests: what `mfi run` and `mfi search` leave, without any training. Accuracies follow a formula.

MADE_UP_LOG: a file that each call's words are added to.   MADE_UP_STOP: a step at which a run ends with exit code 76.
MADE_UP_WAIT: with -DATASET a file that is made when a run begins, and then the run waits for a signal.
MADE_UP_NETWORKS: any value: a search finds none between 0.19 and 0.29 of the parameters.
MADE_UP_MEET: a folder in which each call leaves a file, and waits for another one's.
"""
import json
import os
import signal
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "shared")]
from epochs import epochs_after_teacher  # noqa: E402
from run_files import flat, read_recipe, read_toml, wanted_settings  # noqa: E402

MACHINE, VERSION = "Made-up CPU, 2 threads", "mfi 9.9.9, LibTorch 9.9.9"
PARAMETERS, MACS = 1_000_000, 70_000_000
SHARES = {(3, 4, 5, 1): 0.59, (3, 4, 2, 1): 0.43, (3, 3, 2, 1): 0.39, (2, 3, 2, 0): 0.29, (2, 2, 1, 0): 0.21,
          (1, 2, 1, 0): 0.19}  # by pipeline.blocks
POINTS_LOST = {"map": 40, "hybrid": 0, "teacher-longer": -1.5, "no-mapping": 0.3, "regression-hybrid": 0.1,
               "smaller-resnet": 3, "distilled-resnet": -0.5}


def to_toml(recipe):
    lines = [f"{key} = {json.dumps(value)}" for key, value in recipe.items() if not isinstance(value, dict)]
    for section, values in recipe.items():
        if isinstance(values, dict):
            lines += ["", f"[{section}]"] + [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def nested(keys):
    out = {}
    for key, value in keys.items():
        section, dot, name = key.partition(".")
        if dot:
            out.setdefault(section, {})[name] = value
        else:
            out[key] = value
    return out


def record(step, recipe, seed):
    blocks = tuple(recipe.get("pipeline", {}).get("blocks", ()))
    share = 1 if step in ("teacher", "teacher-longer") else SHARES.get(blocks, 0.19)
    epochs = {"teacher": 0 if recipe["network"].get("model") else recipe["teacher"]["epochs"], "map": recipe["map"]["epochs"],
              "hybrid": recipe["hybrid"]["epochs"]}.get(step)
    if epochs is None:
        from_scratch = step in ("smaller-resnet", "distilled-resnet")
        epochs = epochs_after_teacher(recipe) + (recipe["teacher"]["epochs"] if from_scratch else 0)
    top1 = 92 - 5 * (1 - share) - POINTS_LOST.get(step, 0) + 0.1 * seed - 4 / (1 + recipe["hybrid"]["epochs"])
    return {"step": step, "purpose": "", "network": f"net of {step}", "control": step not in ("teacher", "map", "hybrid"),
            "shown": True, "epochs": epochs, "threads": 2, "parameters": round(share * PARAMETERS), "macs": round(share * MACS),
            "test_top1_percent": round(92 if step == "teacher" else top1, 2), "test_loss": 0.5, "details": {},
            "fingerprint": "0", "model_sha256": f"{step} {seed}"}


def planned_steps(recipe):
    controls = (("teacher_longer", "teacher-longer"), ("no_mapping", "no-mapping"), ("regression", "regression-hybrid"),
                ("smaller_resnet", "smaller-resnet"), ("distilled_resnet", "distilled-resnet"))
    return ["teacher", "map", "hybrid"] + [step for key, step in controls if recipe.get("controls", {}).get(key)]


def write_metrics(file, record, validation):
    """Of the map step mfi writes errors instead of an accuracy."""
    columns = ["epoch", "loss"]
    if validation:
        columns += ["validation_stage4_error_1step"] if record["step"] == "map" else ["validation_top1_percent"]
    rows = [[epoch, 0.5, record["test_top1_percent"] + 4 + epoch - record["epochs"]] for epoch in range(1, record["epochs"] + 1)]
    file.write_text("".join(",".join(map(str, row[:len(columns)])) + "\n" for row in [columns] + rows))


def run(recipe, out, only=""):
    seed = recipe.get("seed", 0)
    out.mkdir(parents=True, exist_ok=True)
    (out / "recipe.toml").write_text(to_toml(recipe))
    steps = []
    for step in planned_steps(recipe):
        if only and step != only:
            continue
        (out / step).mkdir(exist_ok=True)
        if os.environ.get("MADE_UP_STOP") == step:
            sys.stderr.write(f"mfi: {step}: the loss is not finite\n")
            sys.exit(76)
        steps.append(record(step, recipe, seed))
        (out / step / "step.json").write_text(json.dumps(steps[-1]))
        write_metrics(out / step / "metrics.csv", steps[-1], recipe["data"].get("validation", 0))
        limit = recipe["data"].get("limit", 0)
        training = round((limit or 50000) * (1 - recipe["data"].get("validation", 0)))
        (out / "results.json").write_text(json.dumps(
            {"run": recipe["name"], "dataset": recipe["data"]["dataset"], "training_images": training, "test_images": 10000,
             "machine": MACHINE, "version": VERSION, "precision": "bf16", "data_fingerprint": "1", "steps": steps}))
        (out / "timing.json").write_text(json.dumps(
            {each["step"]: {"seconds": 10.0 * each["epochs"], "seconds_per_step": 0.1} for each in steps}))


def search(recipe, out, targets):
    if not (out / "teacher").is_dir():
        run(recipe, out, "teacher")
    (out / "search").mkdir(exist_ok=True)
    limit = min(float(target.partition("=")[2]) for target in targets)
    points = []
    shares = {blocks: share for blocks, share in SHARES.items()
              if not (os.environ.get("MADE_UP_NETWORKS") and 0.19 < share < 0.29)}
    narrower = "" if recipe.get("search", {}).get("block_percent") == [100] else "-w8"
    for number, (blocks, share) in enumerate(sorted(shares.items(), key=lambda each: each[1]), 1):
        points.append({"name": f"point-{number}", "stages": [f"blocks-{count}{narrower}" if count else "flow-h9" for count in blocks],
                       "parameters": round(share * PARAMETERS), "macs": round(share * MACS), "held_out_percent": 80.0,
                       "on_front": True, "chosen": False})
        point = nested(flat(recipe) | {"network.model": "../teacher/model.safetensors", "pipeline.blocks": list(blocks)})
        (out / "search" / f"point-{number}.toml").write_text(to_toml(point))
    small = [point for point in points if point["parameters"] <= limit * PARAMETERS]
    if small:
        small[-1]["chosen"] = True
    (out / "search/front.json").write_text(json.dumps(
        {"run": recipe["name"], "dataset": "cifar-10", "machine": MACHINE, "version": VERSION, "target": " ".join(targets),
         "held_out_images": 500, "tuned_epochs": 1, "tuned_images": 1000, "teacher": {"name": "teacher"}, "points": points}))


def meet(folder):
    (folder / f"met-{os.getpid()}").write_text("")
    for _ in range(50):
        if len(list(folder.glob("met-*"))) > 1:
            sys.stderr.write("mfi: met another\n")
            return
        time.sleep(0.1)
    sys.stderr.write("mfi: met nobody\n")
    sys.exit(1)


def main():
    command, words = sys.argv[1], sys.argv[2:]
    with open(os.environ.get("MADE_UP_LOG", os.devnull), "a") as log:
        log.write(json.dumps(sys.argv[1:]) + "\n")
    recipe, values = read_recipe(words[0]) | {"name": read_toml(words[0])["name"]}, {}
    words = words[1:]
    while words:
        flag = words.pop(0)
        values.setdefault(flag, []).append("" if flag == "--yes" else words.pop(0))
    recipe = nested(wanted_settings(recipe, values.get("--set", [])))  # with the defaults that mfi would write down
    if os.environ.get("MADE_UP_WAIT"):
        signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        Path(f"{os.environ['MADE_UP_WAIT']}-{recipe['data']['dataset']}").write_text("")
        signal.pause()
    if os.environ.get("MADE_UP_MEET"):
        meet(Path(os.environ["MADE_UP_MEET"]))
    if command == "run":
        run(recipe, Path(values["--out"][0]), values.get("--only", [""])[0])
        print(f"{recipe['name']} is trained")
    else:
        search(recipe, Path(values["--out"][0]), values["--target"])


if __name__ == "__main__":
    main()
