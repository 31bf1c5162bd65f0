"""Prints the outputs of NeMo Curator's own adapter for the tasks of a pipeline file.

nemo_files.py WORKERS_FILES TASKS
"""

import copy
import json
import random
import sys

sys.path.append(sys.argv[1])

import pandas
from curator_code import construct, module_of
from curator_nemo import as_stage
from curator_stage import Task
from nemo_curator.backends.base import BaseStageAdapter
from nemo_curator.stages.base import ProcessingStage
from nemo_curator.stages.resources import Resources
from nemo_curator.stages.text.filters.heuristic.string import WordCountFilter
from nemo_curator.stages.text.filters.score_filter import ScoreFilter
from nemo_curator.stages.text.modules import AddId
from nemo_curator.tasks import DocumentBatch
from nemo_curator.tasks import Task as NemoTask


def by_adapter(number, rows):
    """The rows that come out for a task of documents."""
    task = DocumentBatch(dataset_name="", data=pandas.DataFrame(rows))
    words = ScoreFilter(WordCountFilter(min_words=2), text_field="text", score_field="words")
    for stage in (words, AddId(id_field="id", id_prefix="doc")):
        # The ids of tasks are a run's.
        task.task_id = f"0_{number}" if stage is words else f"0_{number}_0"
        [task] = BaseStageAdapter(stage).process_batch([task])
    return json.loads(task.to_pandas().to_json(orient="records"))


class Same(ProcessingStage[DocumentBatch, DocumentBatch]):
    name = "same"

    def process(self, task):
        # As most stages begin.
        frame = task.to_pandas().copy()
        return DocumentBatch(dataset_name=task.dataset_name, data=frame[frame["row"] >= 0])


class Raft(Same):
    name = "raft"

    def ray_stage_spec(self):
        return {"is_raft_actor": True}


class Memory(Same):
    resources = Resources(gpu_memory_gb=12.0)

    def num_workers(self):
        return 3


class Video(NemoTask[object]):
    def num_items(self):
        return 1

    def validate(self):
        return True


class Videos(ProcessingStage[Video, Video]):
    name = "videos"

    def process(self, task):
        return task


def some_value(rng):
    texts = ["", "a", "ü", "1", "nan", "\ud800", "null"]
    numbers = [0, 1, -1, 2**53 + 1, 2**63, 2**70, 0.1, 1.0, -0.0, 1e300]
    others = [None, True, False, [], [1, "a"], {"k": None}, [[1.5], []], {}]
    return rng.choice(rng.choice((texts, numbers, others)))


def changed(cases):
    """The cases in which documents that a stage passes on come out as others."""
    found, stage = [], as_stage(Same())
    for case in range(cases):
        rng = random.Random(case)
        names = rng.sample("abcd", rng.randint(0, 4))
        kinds = {name: rng.choice((None, int, float, bool, str)) for name in names}
        rows = []
        for number in range(rng.randint(1, 6)):
            row = {"row": number}
            for name in names:
                kind = kinds[name]
                if rng.random() < 0.9:
                    row[name] = some_value(rng) if kind is None else kind(rng.randint(0, 9))
            rows.append(row)
        for data in (rows, rows[0]):
            [[output]] = stage.process_batch([Task(copy.deepcopy(data), id="0_0")])
            # Of numbers, the kind counts as well.
            shown = [json.dumps(it, sort_keys=True) for it in (output.data, data)]
            if shown[0] != shown[1]:
                found.append([case, *shown])
    return found


def told(make):
    try:
        make()
    except TypeError as error:
        return str(error)
    return "it ran"


def constructed(module, name, **args):
    return as_stage(construct(module_of({"module": module}), name, args))


def refusals():
    texts = "nemo_curator.stages.text"
    words = {"python": f"{texts}.filters.heuristic.string:WordCountFilter"}
    score = f"{texts}.filters.score_filter"
    add = as_stage(AddId(id_field="id"))
    return {
        "name": told(lambda: constructed(score, "ScoreFilter", filter_obj="WordCountFilter")),
        "list": told(lambda: constructed(score, "ScoreFilter", filter_obj=[words, 3])),
        "composite": told(lambda: constructed(f"{texts}.io.reader", "JsonlReader", file_paths="x")),
        "text": told(lambda: add.process_batch([Task("some text", id="0_1")])),
        "mixed": told(lambda: add.process_batch([Task([{"a": 1}, 2], id="0_1")])),
        "raft": told(lambda: as_stage(Raft())),
        "videos": told(lambda: as_stage(Videos()).process_batch([Task({"path": "x"}, id="0_1")])),
    }


def declared():
    from curator_code import declared_by

    return {name: it.get("value") for name, it in declared_by(Memory())["settings"].items()}


def main():
    with open(sys.argv[2]) as file:
        tasks = [json.loads(line) for line in file]
    listed = [task if isinstance(task, list) else [task] for task in tasks]
    rows = [by_adapter(number, rows) for number, rows in enumerate(listed)]
    found = {
        "rows": rows,
        "changed": changed(300),
        "refused": refusals(),
        "declared": declared(),
    }
    print(json.dumps(found, default=str))


if __name__ == "__main__":
    main()
