"""A pipeline of nine stages of NeMo Curator over documents, as it is, by one executor.

    nine_stages.py run IN OUT EXECUTOR   prints the ids of the tasks that come out
    nine_stages.py session SECONDS       starts a Ray, and then runs for each line of input
    nine_stages.py show OUT              prints the rows of each file

What is printed is JSON. A line for a session is a list: where the output and the errors of the run
go, and its arguments. The answer is the code that it ended with, or null if it took longer.
"""

import json
import os
import subprocess
import sys


def run(documents, out, executor):
    from nemo_curator.pipeline import Pipeline
    from nemo_curator.stages.base import ProcessingStage
    from nemo_curator.stages.resources import Resources
    from nemo_curator.stages.text.filters.heuristic.string import (
        LongWordFilter,
        WhiteSpaceFilter,
        WordCountFilter,
    )
    from nemo_curator.stages.text.filters.score_filter import ScoreFilter
    from nemo_curator.stages.text.io.reader.jsonl import JsonlReader
    from nemo_curator.stages.text.io.writer.parquet import ParquetWriter
    from nemo_curator.stages.text.modifiers.modifier import Modify
    from nemo_curator.stages.text.modifiers.string.newline_normalizer import NewlineNormalizer
    from nemo_curator.stages.text.modifiers.string.quotation_remover import QuotationRemover
    from nemo_curator.stages.text.modules import AddId, DocumentSplitter
    from nemo_curator.tasks import DocumentBatch

    class Mark(ProcessingStage[DocumentBatch, DocumentBatch]):
        """A user's own, with a package of its own."""

        name = "mark"
        resources = Resources(cpus=0.5)
        runtime_env = {"uv": ["packaging==24.0"]}  # noqa: RUF012

        def process(self, task):
            import packaging

            frame = task.to_pandas().copy()
            frame["packaging"] = packaging.__version__
            return DocumentBatch(
                dataset_name=task.dataset_name,
                data=frame,
                _metadata=task._metadata,
                _stage_perf=task._stage_perf,
            )

    count = WordCountFilter(min_words=3)
    chain = [LongWordFilter(max_word_length=40), WhiteSpaceFilter()]
    pipeline = Pipeline(name="documents")
    # Two stages: one finds the files, and one reads them.
    pipeline.add_stage(JsonlReader(documents, files_per_partition=1))
    pipeline.add_stage(ScoreFilter(count, text_field="text", score_field="words"))
    pipeline.add_stage(ScoreFilter(chain, text_field="text"))
    pipeline.add_stage(Modify([NewlineNormalizer(), QuotationRemover()], input_fields="text"))
    pipeline.add_stage(Mark())
    pipeline.add_stage(AddId(id_field="id"))
    pipeline.add_stage(DocumentSplitter(separator="\n\n"))
    pipeline.add_stage(ParquetWriter(out))
    tasks = pipeline.run(executor_of(executor))
    print(json.dumps(sorted(task.task_id for task in tasks)))


def executor_of(name):
    if name == "ray-data":
        from nemo_curator.backends.ray_data import RayDataExecutor as Executor
    elif name == "ray-actor-pool":
        from nemo_curator.backends.ray_actor_pool import RayActorPoolExecutor as Executor
    elif name == "xenna":
        from nemo_curator.backends.xenna import XennaExecutor as Executor
    else:
        from curator.nemo import CuratorExecutor

        return CuratorExecutor(fuse=name == "fused")
    return Executor()


def session(seconds):
    import nemo_curator  # noqa: F401, it sets variables that Xenna needs Ray to be started with
    import ray

    # Xenna wants a CPU for each stage, and one for itself.
    address = ray.init(num_cpus=10, log_to_driver=False).address_info["gcs_address"]
    print(json.dumps(address), flush=True)
    # Ray's tokens are among the variables.
    environ = os.environ | {"RAY_ADDRESS": address}
    for line in sys.stdin:
        output, errors, *arguments = json.loads(line)
        words = [sys.executable, __file__, "run", *arguments]
        with open(output, "w") as out, open(errors, "w") as err:
            try:
                done = subprocess.run(
                    words,
                    env=environ,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    timeout=float(seconds),
                )
            except subprocess.TimeoutExpired:
                done = None
        print(json.dumps(done and done.returncode), flush=True)


def show(out):
    import pyarrow.parquet

    names = sorted(os.listdir(out))
    rows = {name: pyarrow.parquet.read_table(f"{out}/{name}").to_pylist() for name in names}
    print(json.dumps(rows))


if __name__ == "__main__":
    {"run": run, "session": session, "show": show}[sys.argv[1]](*sys.argv[2:])
