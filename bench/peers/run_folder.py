"""A run of `mfi run` whose hybrid's size is known: what its networks are worth, and how long they were trained."""
import hashlib
import json
from pathlib import Path

from epochs import epochs_after_teacher, hybrid_record, teacher_epochs
from errors import PeersError

# Controls that stand in the table as networks of their own, in its order; other steps are on the way to the hybrid.
CONTROLS = ("teacher-longer", "no-mapping", "regression-hybrid", "smaller-resnet", "distilled-resnet")
FROM_SCRATCH = ("smaller-resnet", "distilled-resnet")
DATASETS = ("cifar-10", "cifar-100")


class Run:
    """Raises PeersError where the folder is no such run, or one whose data the peers cannot be trained on."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.recipe = _read_toml(self.folder / "recipe.toml")
        self.results = _read_json(self.folder / "results.json")
        self.steps = {step["step"]: step for step in self.results.get("steps", [])}
        for step, found in (("teacher", self.steps.get("teacher")), ("hybrid", hybrid_record(self.recipe, self.steps))):
            if not found:
                raise PeersError(f"{self.folder}: the run has no {step} yet; finish it with `mfi run`")
        if self.results["dataset"] not in DATASETS:
            raise PeersError(f"{self.folder}: its dataset is {self.results['dataset']}, expected {' or '.join(DATASETS)}")
        self._check_epochs()

    @property
    def teacher(self):
        return self.steps["teacher"]

    @property
    def hybrid(self):
        return hybrid_record(self.recipe, self.steps)

    @property
    def teacher_file(self):
        return self.folder / "teacher" / "model.safetensors"

    def check_teacher_file(self):
        """Raises PeersError unless the teacher's file is the one that the run's results speak of."""
        try:
            found = hashlib.sha256(self.teacher_file.read_bytes()).hexdigest()
        except OSError as error:
            raise PeersError(f"{self.teacher_file}: cannot be read: {error.strerror}")
        if found != self.teacher["model_sha256"]:
            raise PeersError(f"{self.teacher_file}: is not the model that results.json speaks of (another SHA-256)")

    def epochs_after_teacher(self):
        """What the hybrid had after its teacher, and the controls and peers get (docs/method.md)."""
        return epochs_after_teacher(self.recipe)

    def labelled(self):
        """Share of the training images whose labels were seen after the teacher's training."""
        return self.recipe["data"].get("labelled", 1.0)

    def teacher_epochs(self):
        return teacher_epochs(self.recipe, self.teacher)

    def _check_epochs(self):
        for control in ("teacher-longer", "no-mapping"):
            if control in self.steps and self.steps[control]["epochs"] != self.epochs_after_teacher():
                raise PeersError(f"{self.folder}: its control {control} had {self.steps[control]['epochs']} epochs, but "
                                 f"its recipe gives {self.epochs_after_teacher()}; run the recipe again")

    def limit(self, match):
        """The hybrid's parameters or MACs, which a peer is not to exceed. match: "params" or "macs"."""
        return self.hybrid["parameters" if match == "params" else "macs"]

    def rows(self):
        """The run's own networks, for the table. Epochs are all that the weights have seen."""
        out = []
        for name in ("teacher", "hybrid") + CONTROLS:
            if name not in self.steps:
                continue
            step = self.steps[name]
            if name in FROM_SCRATCH:
                epochs = step["epochs"]
            else:
                epochs = self.teacher_epochs() + (0 if name == "teacher" else self.epochs_after_teacher())
            out.append({"name": name, "by": "mfi", "detail": step["network"], "epochs": epochs,
                        "parameters": [step["parameters"]], "macs": [step["macs"]],
                        "test_top1_percent": [step["test_top1_percent"]]})
        return out


def _read_json(file):
    try:
        return json.loads(file.read_text())
    except OSError as error:
        raise PeersError(f"{file}: {error.strerror}; expected the folder of a finished `mfi run`")
    except ValueError as error:
        raise PeersError(f"{file}: not JSON: {error}")


def _read_toml(file):
    try:
        import tomllib
    except ImportError:
        raise PeersError("Python 3.11 or newer is needed, to read recipe.toml")
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise PeersError(f"{file}: {error.strerror}; expected the folder of a finished `mfi run`")
    except tomllib.TOMLDecodeError as error:
        raise PeersError(f"{file}: not TOML: {error}")
