"""A worker of Ray that could not be given its environment: it tells that to all who send it work.

Ray waits a minute for a worker that ends before it has registered, starts it once more, and does so
for ever; a task that needs it never ends. So, in the place of the interpreter of an environment,
Ray's own interpreter runs this with the arguments that Ray starts its workers with. It registers
like any other, and fails the first task or actor with what went wrong. It runs no code of theirs.
"""

import os
import runpy
import sys

from ray._private import function_manager, worker
from ray.exceptions import RuntimeEnvSetupError

MESSAGE = os.environ.pop("CURATOR_RAY_REFUSAL")


def refuse(*_args, **_kwargs):
    raise RuntimeEnvSetupError(MESSAGE)


class Refused:
    """In the place of an actor's class."""

    __init__ = refuse


# After one call the worker ends, so that for the next task Ray asks the launcher again.
REFUSAL = function_manager.FunctionExecutionInfo(refuse, "refuse", max_calls=1)

manager = function_manager.FunctionActorManager
manager.get_execution_info = lambda *_: REFUSAL
manager.increase_task_counter = lambda *_: None
manager.get_task_counter = lambda *_: REFUSAL.max_calls
manager.load_actor_class = lambda *_: Refused
# Arguments may be of classes that only the environment has.
worker.Worker.deserialize_objects = refuse

sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
