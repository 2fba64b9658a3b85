"""What a run's recipe.toml says of its steps, as mfi/pipeline/plan.cpp plans them: how long networks were trained, and which is
the hybrid."""


def epochs_after_teacher(recipe):
    """Epochs that the hybrid's weights have seen after the teacher's: those of every step on the way to it, the stages being
    incubated beside each other, so once. With pipeline.blocks the way is short: map and hybrid. The controls get as many."""
    pipeline = recipe.get("pipeline", {})
    if pipeline.get("blocks"):
        return recipe["map"]["epochs"] + recipe["hybrid"]["epochs"]
    # Where the key is not given, all stages but the last are incubated.
    incubates = bool(pipeline.get("incubate", True))
    return (recipe["map"]["epochs"] + recipe["meta"]["epochs"] + (recipe["incubate"]["epochs"] if incubates else 0) +
            recipe["hybrid"]["epochs"])


def teacher_epochs(recipe, step):
    """Epochs that the teacher has seen. A run that was given it trains it for none; a search's recipes keep in [teacher] what
    it was trained with, and a plain ResNet beside it is trained for those."""
    return step["epochs"] or recipe["teacher"]["epochs"]


def hybrid_record(recipe, steps):
    """Of a run's records by step, the one that says how large its hybrid is, or None: where the way is short (pipeline.blocks)
    that is known from the mapping on, before it is fine-tuned."""
    return steps.get("hybrid") or (steps.get("map") if recipe.get("pipeline", {}).get("blocks") else None)
