"""What `mfi run` and `mfi search` leave, read without mfi (docs/file-formats.md)."""
import csv
import functools
import json
from pathlib import Path

from errors import StudyError

# Keys that decide no figure of `mfi run`: where things lie, how often states are saved, which controls there are beside the
# hybrid. network.model is absolute in a run's own recipe.
INDIFFERENT = {"name", "network.model", "runtime.threads", "checkpoint.minutes", "checkpoint.final_state"}
SWITCHES = {"controls.teacher_longer", "controls.no_mapping", "controls.regression", "controls.smaller_resnet",
            "controls.distilled_resnet"}

HELD_OUT_COLUMN = "validation_top1_percent"  # of a step's metrics.csv


def read_json(file):
    """None where there is no such file. Raises StudyError for one that is damaged."""
    try:
        return json.loads(Path(file).read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StudyError(f"{file}: cannot be read ({error}); remove it, and its run is made again")


def read_toml(file):
    """None where there is no such file. Raises StudyError for one that is none. What comes back is not to be changed."""
    _toml()
    try:
        return _parsed(Path(file).read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StudyError(f"{file}: cannot be read as TOML ({error})")


@functools.lru_cache(maxsize=256)
def _parsed(text):
    """A recipe is asked for again and again, by all that builds on it."""
    return _toml().loads(text)


def read_recipe(file, extending=()):
    """The same of a recipe: what it extends, replaced by what it says itself. Its name is never that of the other.
    `extending`: the files through which this one was reached."""
    recipe = read_toml(file)
    if recipe is None or "extends" not in recipe:
        return recipe
    extending += (Path(file).resolve(),)
    file = Path(file).parent / recipe["extends"]
    if file.resolve() in extending:
        raise StudyError(f"{file}: this recipe extends itself, by way of what it extends")
    other = read_recipe(file, extending)
    if other is None:
        raise StudyError(f"{file}: there is no such recipe, though another one extends it")
    merged = {key: other.get(key, {}) | value if isinstance(value, dict) else value for key, value in recipe.items()}
    return {key: value for key, value in (other | merged).items() if key != "extends" and (key != "name" or key in recipe)}


def flat(recipe):
    """{"seed": 0, "data.limit": 20000, ...} of a recipe's tables."""
    out = {}
    for key, value in recipe.items():
        if isinstance(value, dict):
            out.update({f"{key}.{name}": each for name, each in value.items()})
        else:
            out[key] = value
    return out


def read_settings(words):
    """The same of --set's words: "data.limit=20000" and so on. A value is TOML, or a text without quotes."""
    out = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise StudyError(f"'{word}' is no setting; expected SECTION.KEY=VALUE")
        try:
            out[key] = _toml().loads("value = " + value)["value"]
        except ValueError:
            out[key] = value
    return out


def wanted_settings(recipe, words=()):
    """What a recipe with these words of --set asks for, flat. Of what it leaves to mfi's defaults, the keys that say which
    images are trained on: a folder may hold a trial on few of them."""
    return {"seed": 0, "data.limit": 0, "data.validation": 0} | flat(recipe) | read_settings(words)


def differences(wanted, recipe, but=("search.",)):
    """Keys of `wanted` that the run's recipe does not have, or has with another value; those that begin with one of `but` are
    left out. Both flat."""
    return [key for key, value in wanted.items()
            if key not in INDIFFERENT | SWITCHES and not key.startswith(but)
            and (key not in recipe or _as_list(recipe[key]) != _as_list(value))]


def has_flow_stage(recipe):
    """Whether the recipe's network may have one: with pipeline.blocks, where a stage keeps none of its blocks."""
    blocks = (recipe or {}).get("pipeline", {}).get("blocks")
    return not blocks or 0 in _as_list(blocks)


def step_records(folder):
    """The steps of a run by name, each with the seconds that its training took, and results.json; ({}, None) without one.
    results.json alone is not believed: it is older than a step that is being made anew, or whose folder was removed."""
    results = read_json(folder / "results.json")
    if results is None:
        return {}, None
    times = read_json(folder / "timing.json") or {}
    return {step["step"]: step | {"seconds": times.get(step["step"], {}).get("seconds")} for step in results["steps"]
            if _is_there(folder, step)}, results


def held_out_percent(folder, record):
    """Accuracy on the held-out images after a step's last epoch; None where there is no such epoch or nothing was held out."""
    try:
        rows = list(csv.DictReader((folder / record["step"] / "metrics.csv").read_text().splitlines()))
        last = rows[-1] if rows else {}
        return float(last[HELD_OUT_COLUMN]) if HELD_OUT_COLUMN in last and int(last["epoch"]) == record["epochs"] else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise StudyError(f"{folder / record['step']}/metrics.csv: cannot be read ({error}); remove its run, and it is made again")


def _is_there(folder, step):
    record = read_json(folder / step["step"] / "step.json")
    return record is not None and record["fingerprint"] == step["fingerprint"]


def _as_list(value):
    """One value may stand for a list of it."""
    return value if isinstance(value, list) else [value]


def _toml():
    try:
        import tomllib
    except ImportError:
        raise StudyError("Python 3.11 or newer is needed, to read recipes")
    return tomllib
